"""Uncertainty of a transformer: a small BERT with random weights, its sites, and what its passes disagree on."""

import torch
from transformers import BertConfig, BertForSequenceClassification

from mcdrop import MCDropout


def main(rows: int = 8, passes: int = 200) -> None:
    """Classify made-up sentences into three classes. For a net of your own: `from_pretrained`, and its tokenizer."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=100, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, num_labels=3
    )
    net = BertForSequenceClassification(config).eval()
    for parameter in net.classifier.parameters():  # larger than fresh ones, so that the classes differ
        torch.nn.init.normal_(parameter)
    words = torch.randint(0, 100, (rows, 12))
    encoding = {"input_ids": words, "attention_mask": torch.ones_like(words)}  # as a tokenizer gives it

    model = MCDropout(net, task="classification")
    print(model.sites(encoding))

    pred = model.predict(encoding, passes=passes, seed=0)
    print("\nsentence  probabilities       entropy  mutual information")
    for row, probs in enumerate(pred.probs):
        shown = "  ".join(f"{value:.2f}" for value in probs)
        print(f"{row:8d}  {shown}  {pred.entropy[row]:11.2f}  {pred.mutual_information[row]:18.3f}")


if __name__ == "__main__":
    main()
