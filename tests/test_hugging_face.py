"""Hugging Face nets with random weights: every dropout that fires in their training mode is a site of the sampler.

What fires is found without mcdrop, by standing in for torch's own functions while the net runs in train mode; the law
of the passes is that of the net in train mode, drawn as one large batch. The bound on |z| comes from the number of
comparisons in the whole file, so that the file as a whole raises a false alarm for at most 1 in 1,000 seeds
(Bonferroni); the seeds are fixed, so that what passes keeps passing.
"""

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from laws import randn
from two_samples import Bound, assert_rows_fall_alone, assert_rows_fall_together, assert_same_law

from mcdrop import MCDropout

transformers = pytest.importorskip("transformers")

PASSES, COPIES = 2000, 100  # draws, and copies of a row in one pass where rows have masks of their own
SHARED_PASSES = 1000  # one forward of such a net takes milliseconds
MOST_OUTPUTS = 3 * 24
HIDDEN, ATTENTION = 0.2, 0.3
WORDS = 12
WHICH = ("all", "attention", "hidden")
KERNELS = ("sdpa", "eager")


@pytest.fixture(scope="module", autouse=True)
def quiet():
    """Leave out what the library logs about missing generation settings."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    yield
    transformers.logging.set_verbosity(level)


@dataclass(frozen=True)
class Family:
    """One architecture: its classes, its size, and how its config names the two kinds of rates."""

    net: str
    config: str
    size: dict[str, Any]
    hidden: tuple[str, ...]
    attention: tuple[str, ...]
    inputs: Callable[[], dict[str, torch.Tensor]]
    extra: dict[str, Any] = field(default_factory=dict)

    def build(self, which: str, kernel: str | None = None, **changed: Any) -> torch.nn.Module:
        rates = dict.fromkeys(self.hidden, HIDDEN if which in ("all", "hidden") else 0.0)
        rates |= dict.fromkeys(self.attention, ATTENTION if which in ("all", "attention") else 0.0)
        config = getattr(transformers, self.config)(**(self.size | rates | self.extra | changed))
        options = {} if kernel is None else {"attn_implementation": kernel}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = getattr(transformers, self.net)._from_config(config, **options)
            for parameter in net.parameters():
                torch.nn.init.normal_(parameter, std=0.3)
        for module in net.modules():  # T5 has one rate for all of it
            if self.net.startswith("T5") and which != "all":
                attends = type(module).__name__ == "T5Attention"
                if isinstance(module, torch.nn.Dropout) and which == "attention":
                    module.p = 0.0
                elif attends:
                    module.dropout = ATTENTION if which == "attention" else 0.0
        return net.eval()


def words() -> dict[str, torch.Tensor]:
    ids = torch.tensor([[1, 2, 3, 0], [1, 2, 3, 0], [4, 5, 6, 7]])
    return {"input_ids": ids, "attention_mask": (ids > 0).long()}


def full() -> dict[str, torch.Tensor]:
    ids = torch.tensor([[1, 2, 3], [1, 2, 3], [4, 5, 6]])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def both() -> dict[str, torch.Tensor]:
    return words() | {"decoder_input_ids": torch.tensor([[1, 8], [1, 8], [1, 9]])}


def images() -> dict[str, torch.Tensor]:
    return {"pixel_values": randn(2, 3, 8, 8, seed=2)[torch.tensor([0, 0, 1])]}


def sounds() -> dict[str, torch.Tensor]:
    return {"input_values": randn(2, 40, seed=3)[torch.tensor([0, 0, 1])]}


BERT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": WORDS,
    "max_position_embeddings": 12,
    "num_labels": 3,
}
STATES, PROBS = ("hidden_dropout_prob",), ("attention_probs_dropout_prob",)
FAMILIES = {
    "BERT": Family("BertForSequenceClassification", "BertConfig", BERT, STATES, PROBS, words),
    "RoBERTa": Family("RobertaForTokenClassification", "RobertaConfig", BERT, STATES, PROBS, words),
    "DistilBERT": Family(
        "DistilBertForSequenceClassification",
        "DistilBertConfig",
        {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16, "vocab_size": WORDS, "num_labels": 3},
        ("dropout", "seq_classif_dropout"),
        ("attention_dropout",),
        words,
    ),
    "GPT-2": Family(
        "GPT2LMHeadModel",
        "GPT2Config",
        {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_inner": 16, "vocab_size": 8, "n_positions": 8},
        ("resid_pdrop", "embd_pdrop"),
        ("attn_pdrop",),
        full,
    ),
    "T5": Family(
        "T5ForConditionalGeneration",
        "T5Config",
        {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "vocab_size": WORDS},
        ("dropout_rate",),
        (),
        both,
    ),
    "BART": Family(
        "BartForConditionalGeneration",
        "BartConfig",
        {
            "d_model": 16,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 16,
            "decoder_ffn_dim": 16,
            "vocab_size": WORDS,
            "max_position_embeddings": 8,
        },
        ("dropout", "activation_dropout"),
        ("attention_dropout",),
        both,
    ),
    "ViT": Family(
        "ViTForImageClassification",
        "ViTConfig",
        {name: BERT[name] for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")}
        | {"image_size": 8, "patch_size": 4, "num_labels": 3},
        STATES,
        PROBS,
        images,
    ),
}
GRID = [(name, kernel, which) for name, kernel, which in itertools.product(FAMILIES, KERNELS, WHICH)]
DEPTH = {
    "Swin": Family(
        "SwinForImageClassification",
        "SwinConfig",
        {
            "image_size": 8,
            "patch_size": 2,
            "embed_dim": 8,
            "depths": [1, 1],
            "num_heads": [1, 2],
            "window_size": 2,
            "num_labels": 3,
        },
        STATES,
        PROBS,
        images,
        {"drop_path_rate": 0.4},
    ),
    "ConvNeXt": Family(
        "ConvNextForImageClassification",
        "ConvNextConfig",
        {"hidden_sizes": [8, 8], "depths": [1, 1], "num_stages": 2, "patch_size": 2, "num_labels": 3},
        (),
        (),
        images,
        {"drop_path_rate": 0.4, "layer_scale_init_value": 0.0},
    ),
}
BOUND = Bound(false_alarm=1e-3, comparisons=(len(GRID) + len(FAMILIES) + len(DEPTH) + 4) * 3 * MOST_OUTPUTS)

every_net = pytest.mark.parametrize(("name", "kernel", "which"), GRID)


# What happens in training mode


def fired_in_training(net, inputs):
    """Return (module path, rate) of every dropout that fires in one forward in train mode, in call order."""
    net, found, path = copy.deepcopy(net).train(), [], [""]
    for name, module in net.named_modules():
        module.register_forward_pre_hook(lambda *_, name=name: path.append(name))
        module.register_forward_hook(lambda *_: path.pop() and None)
    dropout, attend, rand = F.dropout, F.scaled_dot_product_attention, torch.rand

    def drop(input, p=0.5, training=True, inplace=False):
        if training and p > 0:
            found.append((path[-1], p))
        return dropout(input, p, training, inplace)

    def attention(*args, dropout_p=0.0, **kwargs):
        if dropout_p > 0:
            found.append((path[-1], dropout_p))
        return attend(*args, dropout_p=dropout_p, **kwargs)

    def uniform(*args, **kwargs):
        found.append((path[-1], None))
        return rand(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(devices=[]), torch.no_grad():
        patch.setattr(F, "dropout", drop)
        patch.setattr(F, "scaled_dot_product_attention", attention)
        patch.setattr(torch, "rand", uniform)
        net(**inputs)
    return found


def read(output):
    return output["logits"] if "logits" in output else output["last_hidden_state"]


def training_draws(net, inputs, passes=PASSES):
    """Return passes in train mode, shape (T, rows, ...), every pass a row of one large batch."""
    many = {name: value.repeat_interleave(passes, 0) for name, value in inputs.items()}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(7)
        return read(copy.deepcopy(net).train()(**many)).unflatten(0, (-1, passes)).transpose(0, 1)


def independent_draws(net, inputs, **options):
    many = {name: value.repeat_interleave(COPIES, 0) for name, value in inputs.items()}
    samples = MCDropout(net, **options).sample(many, passes=PASSES // COPIES, masks="independent", seed=3)
    return samples.unflatten(1, (-1, COPIES)).transpose(1, 2).flatten(0, 1)


def assert_live_sites_are(net, inputs, expected):
    table = MCDropout(net).sites(inputs)
    assert all(site.index is not None and site.rate == 0 for site in table.silent)  # as the config has it
    assert [site.module for site in table.live] == [module for module, _ in expected]
    for site, (_, rate) in zip(table.live, expected, strict=True):
        if rate is not None:
            assert site.rate == pytest.approx(rate)


# Transformers


@every_net
def test_live_sites_are_those_that_fire_in_training(name, kernel, which):
    family = FAMILIES[name]
    net = family.build(which, kernel)
    expected = fired_in_training(net, family.inputs())
    assert expected
    assert_live_sites_are(net, family.inputs(), expected)


@every_net
def test_rows_with_masks_of_their_own_have_the_law_of_training(name, kernel, which):
    family = FAMILIES[name]
    net = family.build(which, kernel)
    samples = independent_draws(net, family.inputs())
    assert samples[0].numel() <= MOST_OUTPUTS
    assert_same_law(samples, training_draws(net, family.inputs()), BOUND)
    assert_rows_fall_alone(samples, BOUND)


@pytest.mark.parametrize("name", FAMILIES)
def test_shared_masks_have_the_law_of_training(name):
    family = FAMILIES[name]
    net = family.build("all")
    samples = MCDropout(net).sample(family.inputs(), passes=SHARED_PASSES, seed=4)
    assert_same_law(samples, training_draws(net, family.inputs()), BOUND)
    assert_rows_fall_together(samples)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_without_any_rate_nothing_is_left_to_chance(name, kernel):
    """Rates so small that no unit falls: the sites fire, and the passes are the eval forward."""
    family = FAMILIES[name]
    net = family.build("all", kernel)
    for module in net.modules():
        for attribute, value in list(vars(module).items()):
            if value in (HIDDEN, ATTENTION) and isinstance(value, float):
                setattr(module, attribute, 1e-12)
    with torch.no_grad():
        still = read(net(**family.inputs()))
    samples = MCDropout(net).sample(family.inputs(), passes=2)
    torch.testing.assert_close(samples, still.expand_as(samples), rtol=1e-4, atol=1e-5)


# Stochastic depth and layers left out


@pytest.mark.parametrize("name", DEPTH)
def test_stochastic_depth_has_the_law_of_training(name):
    family = DEPTH[name]
    net = family.build("all")
    samples = independent_draws(net, family.inputs())
    assert_same_law(samples, training_draws(net, family.inputs()), BOUND)
    table = MCDropout(net).sites(family.inputs())
    assert {module for module, rate in fired_in_training(net, family.inputs()) if rate is None} <= {
        site.module for site in table.live
    }


def wav2vec(layerdrop):
    family = Family(
        "Wav2Vec2ForCTC",
        "Wav2Vec2Config",
        {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "conv_dim": (8, 8),
            "conv_stride": (4, 4),
            "conv_kernel": (4, 4),
            "num_feat_extract_layers": 2,
            "num_conv_pos_embeddings": 4,
            "num_conv_pos_embedding_groups": 2,
            "vocab_size": 4,
            "apply_spec_augment": False,
        },
        ("hidden_dropout", "activation_dropout", "feat_proj_dropout", "final_dropout"),
        ("attention_dropout",),
        sounds,
        {"layerdrop": layerdrop},
    )
    return family.build("all"), family.inputs()


def layer_draws(net, inputs, passes):
    """Draw one pass at a time, for a layer is left out for the whole batch."""
    net = copy.deepcopy(net).train()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(7)
        return torch.stack([read(net(**inputs)) for _ in range(passes)])


def test_speech_net_has_the_law_of_training():
    net, inputs = wav2vec(0.0)
    assert_same_law(independent_draws(net, inputs), training_draws(net, inputs), BOUND)


def test_layers_left_out_have_the_law_of_training():
    net, inputs = wav2vec(0.5)
    samples = MCDropout(net).sample(inputs, passes=SHARED_PASSES, seed=5)
    assert_same_law(samples, layer_draws(net, inputs, SHARED_PASSES), BOUND)


def test_encoder_layers_left_out_have_the_law_of_training():
    family = FAMILIES["BART"]
    net = family.build("hidden", encoder_layerdrop=0.5, decoder_layerdrop=0.5)
    samples = MCDropout(net).sample(family.inputs(), passes=SHARED_PASSES, seed=5)
    assert_same_law(samples, layer_draws(net, family.inputs(), SHARED_PASSES), BOUND)


# Inputs and outputs


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "a", "cat", "sat", "on", "the", "mat"])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]")


def test_tokenized_text_goes_in_and_logits_come_out():
    net = FAMILIES["BERT"].build("all")
    encoded = tokenizer()(["a cat sat on the mat", "the mat"], padding=True, return_tensors="pt")
    assert type(encoded).__name__ == "BatchEncoding"
    model = MCDropout(net, task="classification")
    pred = model.predict(encoded, passes=20, seed=1)
    same = model.predict(
        {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}, passes=20, seed=1
    )
    assert pred.probs.shape == (2, 3)
    assert (pred.logit_std > 0).all()
    np.testing.assert_array_equal(pred.probs, same.probs)


def test_padding_changes_nothing_under_a_mask():
    """Shared masks are drawn for the longest row: another row's padding leaves the shape, and so the draws, alone."""
    net = FAMILIES["BERT"].build("all")
    inputs = words()
    other = {name: value.clone() for name, value in inputs.items()}
    other["input_ids"][:2, 3] = 9  # behind the attention mask
    a, b = (MCDropout(net).sample(x, passes=5) for x in (inputs, other))
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_another_output_is_chosen_by_name():
    family = FAMILIES["BERT"]
    config = family.build("all").config
    net = transformers.BertModel(config).eval()
    inputs = words()
    states = MCDropout(net, output="last_hidden_state").sample(inputs, passes=3)
    pooled = MCDropout(net, output="pooler_output").sample(inputs, passes=3)
    assert states.shape == (3, 3, 4, 16)
    assert pooled.shape == (3, 3, 16)
    expected = torch.tanh(net.pooler.dense(states[:, :, 0]))
    torch.testing.assert_close(pooled, expected.detach(), rtol=1e-4, atol=1e-5)


def test_net_is_left_as_it_was():
    family = FAMILIES["BART"]
    net = family.build("all")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    MCDropout(net).sample(family.inputs(), passes=2)
    assert not any(module.training for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with torch.no_grad():
        a, b = (read(net(**family.inputs())) for _ in range(2))
    assert torch.equal(a, b)
