"""The commands, one file each: what `unmask NAME` takes, does and prints."""
