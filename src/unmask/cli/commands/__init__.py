"""The commands, one file each: the arguments of `unmask NAME`, its work and its output."""
