"""What goes into and comes out of transformers: encodings with labels, caches beside logits, tokens, several heads."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mcdrop import InputError, MCDropout, NetError, SilentDropoutWarning
from mcdrop.layers import add_dropout

transformers = pytest.importorskip("transformers", reason="transformers comes with the test extra")

ROWS, LENGTH, WORDS = 5, 6, 20
SMALL = {"vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def bert(head, **options):
    torch.manual_seed(0)
    config = transformers.BertConfig(**SMALL, intermediate_size=16, max_position_embeddings=16, **options)
    return getattr(transformers, f"Bert{head}")(config).eval()


def encoding(**more):
    generator = torch.Generator().manual_seed(1)
    words = torch.randint(0, WORDS, (ROWS, LENGTH), generator=generator)
    mask = torch.ones(ROWS, LENGTH, dtype=torch.long)
    mask[1, 4:] = 0
    return {"input_ids": words, "attention_mask": mask} | more


@pytest.fixture
def classifier():
    return MCDropout(bert("ForSequenceClassification", num_labels=3), task="classification")


def test_encodings_of_every_form_give_the_same_logits(classifier):
    labels = torch.tensor([0, 1, 2, 1, 0])
    rows = [{name: value[i] for name, value in encoding(labels=labels).items()} for i in range(ROWS)]
    expected = classifier.predict(encoding(), passes=4)
    assert expected.probs.shape == (ROWS, 3)
    assert expected.mutual_information.max() > 0
    for x in (
        transformers.BatchEncoding(encoding()),
        transformers.BatchEncoding({name: value.numpy() for name, value in encoding().items()}),
        encoding(labels=labels, return_dict=True),
        tuple(encoding().values()),
        DataLoader(rows, batch_size=2),
        DataLoader(rows, batch_size=2, collate_fn=transformers.default_data_collator),
        [(transformers.BatchEncoding(encoding()), labels)],
    ):
        np.testing.assert_allclose(classifier.predict(x, passes=4).probs, expected.probs, rtol=1e-4)
    values = classifier.log_likelihood(encoding(labels=labels), labels, passes=4)
    np.testing.assert_allclose(values, np.log(expected.probs[range(ROWS), labels]), rtol=1e-4)


def test_labels_and_other_names_are_told_apart():
    plain = MCDropout(bert("Model"), output="last_hidden_state")
    expected = plain.sample(encoding(), passes=2)
    torch.testing.assert_close(plain.sample(encoding(label=["a"] * ROWS), passes=2), expected)
    with pytest.raises(
        InputError, match=r"arguments of the net's forward, input_ids, attention_mask, .*got offsets too"
    ):
        MCDropout(with_closed_forward(bert("Model"))).predict(encoding(offsets=torch.zeros(ROWS, 2)))


def with_closed_forward(net):
    """Return the net in a module that takes no other names than an encoding's, as its forward may take any."""

    class Closed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, input_ids, attention_mask, labels=None):
            return self.net(input_ids, attention_mask)

    return Closed()


def test_states_without_logits_are_chosen_where_they_are_alone():
    alone = MCDropout(bert("Model", output_hidden_states=True, output_attentions=True, attn_implementation="eager"))
    with pytest.raises(NetError, match=r"with last_hidden_state \(\d, 6, 16\) \(float32\), pooler_output"):
        alone.predict(encoding())
    net = bert("Model", output_hidden_states=True)
    net.pooler = None
    assert MCDropout(net).predict(encoding(), passes=2).mean.shape == (ROWS, LENGTH, 16)
    deep = MCDropout(net, output="hidden_states.0").sample(encoding(), passes=2)
    assert deep.shape == (2, ROWS, LENGTH, 16)
    pooled = MCDropout(bert("Model"), output=1).predict(encoding(), passes=2)
    np.testing.assert_array_equal(
        pooled.mean, MCDropout(bert("Model"), output="pooler_output").predict(encoding(), passes=2).mean
    )


@pytest.mark.parametrize("labels", [LENGTH, 4])
def test_classes_of_tokens_are_the_last_axis(labels):
    net = bert("ForTokenClassification", num_labels=labels)
    pred = MCDropout(net, task="classification").predict(encoding(), passes=4, keep_samples=True)
    assert pred.probs.shape == (ROWS, LENGTH, labels)
    assert pred.entropy.shape == (ROWS, LENGTH)
    raw = MCDropout(net, task="classification").sample(encoding(), passes=4)
    np.testing.assert_allclose(pred.samples, raw.numpy(), rtol=1e-5)
    np.testing.assert_allclose(pred.probs, raw.double().softmax(-1).mean(0), rtol=1e-5)


def test_language_models_return_caches_that_are_left_alone():
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=WORDS, n_embd=16, n_layer=1, n_head=2, n_positions=16, use_cache=True)
    net = transformers.GPT2LMHeadModel(config).eval()
    pred = MCDropout(net, task="classification").predict(encoding(), passes=3)
    assert pred.probs.shape == (ROWS, LENGTH, WORDS)
    assert MCDropout(net.transformer).predict(encoding(), passes=3).mean.shape == (ROWS, LENGTH, 16)


def test_labels_become_the_inputs_of_a_decoder():
    torch.manual_seed(0)
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    net = transformers.T5ForConditionalGeneration(
        transformers.T5Config(vocab_size=WORDS, decoder_start_token_id=0, **sizes)
    ).eval()
    labels = encoding()["input_ids"][:, :4].contiguous()
    pred = MCDropout(net, task="classification").predict(encoding(labels=labels), passes=3, batch_size=2)
    assert pred.probs.shape == (ROWS, 4, WORDS)
    decoder = net._shift_right(labels)
    direct = MCDropout(net, task="classification").predict(encoding(decoder_input_ids=decoder), passes=3)
    np.testing.assert_allclose(pred.probs, direct.probs, rtol=1e-4)


def test_starts_and_ends_of_answers_are_two_targets_of_the_same_passes():
    net = bert("ForQuestionAnswering")
    task = {"start_logits": "classification", "end_logits": "classification"}
    preds = MCDropout(net, task=task).predict(encoding(), passes=4)
    assert [pred.probs.shape for pred in preds.values()] == [(ROWS, LENGTH)] * 2
    alone = MCDropout(net, task="classification", output="end_logits").predict(encoding(), passes=4)
    np.testing.assert_allclose(preds["end_logits"].probs, alone.probs, rtol=1e-5)
    with pytest.raises(
        NetError, match=r"must return one tensor, got .* with start_logits \(\d, 6\) \(float32\), end_log"
    ):
        MCDropout(net, task="classification").predict(encoding())


def test_what_an_encoder_returned_goes_into_the_decoder_as_it_is():
    torch.manual_seed(0)
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    config = transformers.T5Config(vocab_size=WORDS, decoder_start_token_id=0, **sizes)
    net = transformers.T5ForConditionalGeneration(config).eval()
    states = net.encoder(**encoding())
    decoder = torch.ones(ROWS, 3, dtype=torch.long)
    x = {"encoder_outputs": states, "decoder_input_ids": decoder, "attention_mask": encoding()["attention_mask"]}
    with pytest.warns(SilentDropoutWarning, match=r"encoder\.dropout"):  # the encoder runs no more
        pred = MCDropout(net, task="classification").predict(x, passes=3)
        parts = MCDropout(net, task="classification").predict(x, passes=3, batch_size=2)
    assert pred.probs.shape == (ROWS, 3, WORDS)
    np.testing.assert_allclose(parts.probs, pred.probs, rtol=1e-4)
    with pytest.warns(SilentDropoutWarning):
        plain = MCDropout(net, task="classification").predict(x | {"encoder_outputs": (states[0],)}, passes=3)
    np.testing.assert_allclose(plain.probs, pred.probs, rtol=1e-5)


def test_linear_layers_of_transformers_own_get_dropout():
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=WORDS, n_embd=16, n_layer=1, n_head=2, n_positions=16)
    config.resid_pdrop = config.embd_pdrop = config.attn_pdrop = 0.0
    dropped = add_dropout(transformers.GPT2LMHeadModel(config).eval(), 0.2)
    names = [name for name, module in dropped.named_modules() if module._forward_pre_hooks]
    layers = [f"transformer.h.0.{name}" for name in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")]
    assert names == [*layers, "lm_head"]
    pred = MCDropout(dropped, task="classification").predict(encoding(), passes=3)
    assert pred.mutual_information.max() > 0
