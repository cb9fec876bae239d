"""Weights under other names, renamed by transformers while it reads them, shard by shard."""

from __future__ import annotations

from typing import Any

from unmask.errors import MissingExtraError
from unmask.models.families.family import Family


def reading_class(stock: Any, family: Family) -> tuple[Any, dict[str, Any]]:
    """Return the class that reads the weights of a family, and arguments of `from_pretrained`.

    Names are a `key_mapping`. A weight that has to be cut is cut by a conversion, and those are
    registered by class: so that the stock class keeps its own, another of the same code reads the
    weights. `settled` gives the network back to the stock class.
    """
    if family.fused_heads is None:
        return stock, {"key_mapping": dict(family.keys)} if family.keys else {}
    try:
        from transformers import conversion_mapping
        from transformers.core_model_loading import WeightConverter, WeightRenaming
    except ImportError:
        raise MissingExtraError(
            f"{family.models} need transformers 5: pip install 'transformers>=5'"
        ) from None
    reader = type(f"{stock.__name__}Of{family.name}", (stock,), {"__module__": stock.__module__})
    whole, parts = family.fused_heads
    conversions = [
        WeightConverter(whole, list(parts), [_cut_heads()]),
        *(WeightRenaming(theirs, ours) for theirs, ours in family.keys.items()),
        *(
            conversion_mapping.get_checkpoint_conversion_mapping(stock.config_class.model_type)
            or ()
        ),
    ]
    conversion_mapping.register_checkpoint_conversion_mapping(
        reader.__name__, conversions, overwrite=True
    )
    return reader, {}


def settled(net: Any, stock: Any) -> Any:
    """Return the network as one of the stock class, which is saved under the stock names."""
    net.__class__ = stock
    if hasattr(net, "_weight_conversions"):  # by which saving would undo the renaming
        del net._weight_conversions
    return net


def _cut_heads() -> Any:
    """Return the conversion of one matrix of queries, keys and values into three."""
    from transformers.core_model_loading import ConversionOps

    class CutHeads(ConversionOps):  # type: ignore[misc, unused-ignore]
        def convert(
            self, input_dict: Any, source_patterns: Any, target_patterns: Any, **known: Any
        ) -> Any:
            (given,) = input_dict.values()
            matrix = given[0] if isinstance(given, list) else given
            config = known["config"]
            width = matrix.shape[0] // (config.num_attention_heads + 2 * config.num_key_value_heads)
            heads = (config.num_attention_heads, *[config.num_key_value_heads] * 2)
            cut = matrix.split([width * each for each in heads])
            return {
                name: part.contiguous() for name, part in zip(target_patterns, cut, strict=True)
            }

    return CutHeads()
