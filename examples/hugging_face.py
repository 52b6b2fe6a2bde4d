"""Uncertainty of a text-classification pipeline: its own tokenizer and model, with the dropout left on."""

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast, TextClassificationPipeline

from mcdrop import MCDropout

WORDS = "the film was good bad great dull and but not a story long short i liked it hated every minute of".split()
LABELS = ("negative", "neutral", "positive")
TEXTS = (
    "the film was good and the story was great",
    "i hated every minute of it",
    "a long film but not a dull story",
    "zwei Stunden Langeweile",  # words that the tokenizer has never seen
)


def make_pipeline() -> TextClassificationPipeline:
    """Make a tiny pipeline with random weights, so that nothing is downloaded.

    For a real one: `transformers.pipeline("text-classification", "distilbert-base-uncased-finetuned-sst-2-english")`.
    """
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    torch.manual_seed(0)
    model = BertForSequenceClassification(config)
    for parameter in model.classifier.parameters():  # larger than fresh ones, so that the labels differ
        torch.nn.init.normal_(parameter, std=0.3)
    return transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")


def main(passes: int = 200) -> None:
    """Classify texts, and tell how unsure the model is: all of it, and the part that the passes disagree on."""
    pipe = make_pipeline()
    inputs = pipe.tokenizer(list(TEXTS), padding=True, truncation=True, max_length=128, return_tensors="pt")
    inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}

    model = MCDropout(pipe.model, task="classification")
    print(model.sites(inputs))
    pred = model.predict(inputs, passes=passes, seed=0)

    print("\nlabel     probability  entropy  mutual information  pipeline alone  text")
    for row, (text, alone) in enumerate(zip(TEXTS, pipe(list(TEXTS)), strict=True)):
        best = pred.labels[row]
        measures = f"{pred.probs[row, best]:11.2f}  {pred.entropy[row]:7.2f}  {pred.mutual_information[row]:18.3f}"
        print(f"{pipe.model.config.id2label[int(best)]:8}  {measures}  {alone['score']:14.2f}  {text}")


if __name__ == "__main__":
    main()
