"""Rotary positions: the configs of all years, and Llama 3's factors against transformers."""

import math

import pytest

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.metadata.rope import llama3_factors, rope_keys, rope_of
from quantgui.types import ModelConfig, UserError

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def keys(**raw):
    return Keys(ModelConfig("llama", raw={"model_type": "llama", "max_position_embeddings": 131072, **raw}))


def written(**raw):
    found = keys(**raw)
    return {key.key.removeprefix("x.rope."): key.value for key in rope_keys(found, "x", rope_of(found))}


def test_new_and_old_configs_say_the_same():
    new = rope_of(keys(rope_parameters={**LLAMA3, "rope_theta": 500000.0}))
    old = rope_of(keys(rope_theta=500000.0, rope_scaling={**LLAMA3, "type": "llama3"}))
    assert (
        (new.theta, new.kind, new.number("factor"))
        == (old.theta, old.kind, old.number("factor"))
        == (5e5, "llama3", 32)
    )


def test_one_frequency_for_each_kind_of_layer():
    by_kind = {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    new = written(rope_parameters=by_kind)
    old = written(rope_theta=1e6, rope_local_base_freq=1e4, rope_scaling={"rope_type": "linear", "factor": 8.0})
    assert new == old == {"freq_base": 1e6, "freq_base_swa": 1e4, "scaling.type": "linear", "scaling.factor": 8.0}


def test_yarn_and_long_contexts_have_keys_of_their_own():
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768, "beta_fast": 32}
    assert written(rope_parameters=yarn) == {
        "freq_base": 10000.0,
        "scaling.type": "yarn",
        "scaling.factor": 4.0,
        "scaling.original_context_length": 32768,
    }
    twice = written(rope_parameters={**yarn, "attention_factor": 2 * (1 + 0.1 * math.log(4))})
    assert twice["scaling.attn_factor"] == pytest.approx(2)  # beside llama.cpp's own 1 + 0.1 ln(factor)
    long = written(original_max_position_embeddings=4096, rope_scaling={"type": "su", "long_factor": [1.0]})
    assert long["scaling.attn_factor"] == pytest.approx(math.sqrt(1 + math.log(32) / math.log(4096)))
    assert long["scaling.original_context_length"] == 4096


@pytest.mark.parametrize(
    "raw",
    [
        {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
        {"rope_scaling": {"type": "linear"}},
        {"rope_scaling": {"type": "yarn", "factor": 4.0, "beta_fast": 16}},
        {"rope_scaling": {"type": "linear", "factor": "2"}},
        {"rope_theta": -1},
        {"rope_theta": math.inf},
    ],
)
def test_what_cannot_be_written_is_refused(raw):
    with pytest.raises(UserError):
        written(**raw)


def test_llama3_factors_are_those_of_transformers():
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = LlamaConfig(
        head_dim=64, rope_parameters={**LLAMA3, "rope_theta": 500000.0}, max_position_embeddings=131072
    )
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 1 / 500000.0 ** (2 * scaled.new_tensor(range(32)) / 64)
    found = keys(head_dim=64, rope_parameters={**LLAMA3, "rope_theta": 500000.0})
    ours = llama3_factors(found, rope_of(found))
    assert ours == pytest.approx((plain / scaled).tolist(), rel=1e-5)
    assert ours[0] == 1.0
    assert ours[-1] == 32.0
