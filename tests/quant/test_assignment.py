"""Which tensor gets which scheme, and what is said of the others."""

import pytest

from quantgui.quant.assignment import assign
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import Checkpoint, ModelConfig, Role, SourceKind, TensorInfo, UserError


def tensor(name: str, shape: tuple[int, ...], role: Role, dtype: str = "BF16") -> TensorInfo:
    size = 2
    for n in shape:
        size *= n
    return TensorInfo(name, shape, dtype, size, role=role)


def model(model_type: str = "llama") -> Checkpoint:
    tensors = (
        tensor("model.embed_tokens.weight", (512, 256), Role.EMBEDDING),
        tensor("model.layers.0.self_attn.q_proj.weight", (256, 256), Role.ATTENTION),
        tensor("model.layers.0.mlp.down_proj.weight", (256, 300), Role.MLP),
        tensor("model.layers.0.mlp.experts.0.up_proj.weight", (256, 256), Role.EXPERT),
        tensor("model.layers.0.self_attn.q_proj.bias", (256,), Role.ATTENTION),
        tensor("model.norm.weight", (256,), Role.NORM),
        tensor("lm_head.weight", (512, 256), Role.HEAD),
    )
    return Checkpoint("m", SourceKind.CONFIG, "", tensors, ModelConfig(model_type))


def schemes(recipe: Recipe, checkpoint: Checkpoint | None = None) -> dict[str, str | None]:
    result = assign(checkpoint or model(), recipe)
    return {a.tensor.name: a.scheme.id if a.scheme else None for a in result}


def test_the_base_leaves_embeddings_head_norms_and_biases():
    chosen = schemes(Recipe(SchemeSpec("INT4")))
    assert [name for name, scheme in chosen.items() if scheme] == [
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.mlp.experts.0.up_proj.weight",
    ]


@pytest.mark.parametrize(
    ("spec", "held"),
    [
        (SchemeSpec("INT4"), True),
        (SchemeSpec("INT8", {"granularity": "group"}), True),
        (SchemeSpec("FP8"), True),
        (SchemeSpec("INT4", {"symmetric": False}), False),
        (SchemeSpec("INT8"), False),
    ],
)
def test_experts_are_held_where_transformers_can_join_them(spec, held):
    chosen = schemes(Recipe(spec))
    assert (chosen["model.layers.0.mlp.experts.0.up_proj.weight"] is not None) is held


def test_a_type_of_gguf_files_has_no_place_in_a_folder():
    with pytest.raises(UserError, match="Q6_K is a type of GGUF files, and INT4 is written as a folder"):
        assign(model(), Recipe(SchemeSpec("INT4"), (Rule("*self_attn*", SchemeSpec("Q6_K")),)))


def test_a_rule_for_a_part_of_a_layer_leaves_its_biases_without_a_warning():
    result = assign(model(), Recipe(SchemeSpec("INT4"), (Rule("*self_attn*", SchemeSpec("INT8")),)))
    bias = next(a for a in result if a.tensor.name.endswith("q_proj.bias"))
    assert bias.scheme is None
    assert "cannot hold" not in bias.why


@pytest.mark.parametrize(
    "name",
    [
        "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "text_model.embeddings.token_embedding.weight",
        "encoder.layers.0.attn.in_proj_weight",
    ],
)
def test_what_is_no_linear_layer_is_kept(name):
    checkpoint = Checkpoint("m", SourceKind.CONFIG, "", (tensor(name, (256, 256), Role.OTHER),), ModelConfig("x"))
    assert schemes(Recipe(SchemeSpec("INT8")), checkpoint) == {name: None}


@pytest.mark.parametrize(("scheme_id", "held"), [("INT4", False), ("INT8", True), ("FP8", True)])
def test_families_whose_initialization_reads_dense_weights_cannot_be_packed(scheme_id, held):
    chosen = schemes(Recipe(SchemeSpec(scheme_id)), model("falcon"))
    assert (chosen["model.layers.0.self_attn.q_proj.weight"] is not None) is held


def test_every_kept_tensor_says_why():
    for assignment in assign(model(), Recipe(SchemeSpec("INT4"))):
        assert (assignment.scheme is None) == bool(assignment.why)


def test_a_group_size_that_does_not_divide_is_said_and_the_tensor_kept():
    down = next(a for a in assign(model(), Recipe(SchemeSpec("INT4"))) if "down" in a.tensor.name)
    assert down.scheme is None
    assert "group size 128 does not divide 300" in down.why


def test_the_first_matching_rule_wins():
    rules = (Rule("*.q_proj.weight", SchemeSpec("INT8")), Rule("*.self_attn.*", None))
    assert schemes(Recipe(SchemeSpec("INT4"), rules))["model.layers.0.self_attn.q_proj.weight"] == "INT8"
    assert schemes(Recipe(SchemeSpec("INT4"), rules[::-1]))["model.layers.0.self_attn.q_proj.weight"] is None


def test_a_rule_can_name_the_head_but_not_make_the_format_hold_an_embedding():
    rules = (Rule("lm_head.weight", SchemeSpec("INT8")), Rule("*embed*", SchemeSpec("INT8")))
    chosen = schemes(Recipe(SchemeSpec("INT4"), rules))
    assert chosen["lm_head.weight"] == "INT8"
    assert chosen["model.embed_tokens.weight"] is None


def test_regular_expressions_and_their_mistakes():
    assert Rule(r"re:layers\.0\.").matches(model().tensors[1])
    with pytest.raises(ValueError, match="not a valid regular expression"):
        Rule("re:(").matches(model().tensors[1])


def test_a_cast_covers_everything():
    assert set(schemes(Recipe(SchemeSpec("FP16"))).values()) == {"FP16"}


def test_conv1d_models_are_refused_with_the_reason():
    result = assign(model("gpt2"), Recipe(SchemeSpec("INT4", {"group_size": 32})))
    assert all(a.scheme is None for a in result)
    assert any("Conv1D" in a.why for a in result)


def test_a_vision_tower_is_kept_unless_a_rule_names_it():
    tower = tensor("vision_tower.layers.0.fc1.weight", (256, 256), Role.OTHER)
    checkpoint = Checkpoint("m", SourceKind.CONFIG, "", (tower,), ModelConfig("gemma3"))
    assert schemes(Recipe(SchemeSpec("INT4")), checkpoint) == {tower.name: None}
    named = Recipe(SchemeSpec("INT4"), (Rule("vision_tower.*", SchemeSpec("INT8")),))
    assert schemes(named, checkpoint) == {tower.name: "INT8"}
