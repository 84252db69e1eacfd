"""The Hugging Face Trainer: `compute_loss` returns a `BalancedLoss`.

Its backward pass is the balanced step. An image transformer sees the upper half of a handwritten
digit, a text transformer reads the lower half pixel by pixel: its vocabulary is the 17 shades. Both
are made from their configurations; nothing is downloaded. Under AdamW, the Trainer's optimizer,
gamma does nothing. If your model's forward takes **kwargs and you accumulate gradients, put
trainer.model_accepts_loss_kwargs = False:
the Trainer would take the losses for sums and not divide them.

    python examples/hf_trainer.py --epochs 5
"""

import argparse
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Subset, random_split
from transformers import (
    BertConfig,
    BertModel,
    EvalPrediction,
    Trainer,
    TrainingArguments,
    ViTConfig,
    ViTModel,
)

import mmpareto as mp

SIZE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}


class ImageAndText(nn.Module):
    """A transformer and a head per modality, and a joint head on both features."""

    def __init__(self) -> None:
        super().__init__()
        self.image = ViTModel(ViTConfig(image_size=(4, 8), patch_size=2, num_channels=1, **SIZE))
        self.text = BertModel(BertConfig(vocab_size=17, pad_token_id=None, **SIZE))
        self.heads = nn.ModuleDict(
            {"joint": nn.Linear(64, 10), "image": nn.Linear(32, 10), "text": nn.Linear(32, 10)}
        )

    def forward(self, pixel_values: Tensor, input_ids: Tensor) -> dict[str, Tensor]:
        """Logits by objective."""
        image, text = self.image(pixel_values).pooler_output, self.text(input_ids).pooler_output
        features = {"joint": torch.cat([image, text], dim=1), "image": image, "text": text}
        return {name: head(features[name]) for name, head in self.heads.items()}


class BalancedTrainer(Trainer):
    """A Trainer of several losses."""

    balanced: mp.BalancedLoss

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any
    ) -> Any:
        """The losses as one, to be differentiated once; while evaluating, the joint loss."""
        outputs = model(inputs["pixel_values"], inputs["input_ids"])
        losses = {name: cross_entropy(logits, inputs["labels"]) for name, logits in outputs.items()}
        loss = self.balanced(losses) if model.training else losses["joint"]
        return (loss, outputs) if return_outputs else loss


def load() -> list[Subset]:
    digits = load_digits()
    upper, lower = torch.tensor(digits.images).chunk(2, dim=1)
    samples = zip(upper[:, None].float() / 16, lower.flatten(1).long(), digits.target, strict=True)
    rows = [
        {"pixel_values": image, "input_ids": text, "labels": label}
        for image, text, label in samples
    ]
    return random_split(rows, [0.8, 0.2], torch.Generator().manual_seed(0))


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    return {"accuracy": float((prediction.predictions[0].argmax(1) == prediction.label_ids).mean())}


def main(epochs: int) -> None:
    torch.manual_seed(0)
    model, (train, test) = ImageAndText(), load()
    arguments = TrainingArguments(
        num_train_epochs=epochs,
        per_device_train_batch_size=32,
        learning_rate=2e-3,
        label_names=["labels"],
        eval_strategy="epoch",
        logging_strategy="epoch",
        save_strategy="no",
        ddp_find_unused_parameters=False,  # else every loss reaches every parameter, with zeros
        disable_tqdm=True,
    )
    trainer = BalancedTrainer(
        model, arguments, train_dataset=train, eval_dataset=test, compute_metrics=accuracy
    )
    trainer.balanced = mp.BalancedLoss(
        mp.Partition(model, image=model.image, text=model.text), mp.MMPareto()
    )
    trainer.train()
    print(
        {name: round(value.item(), 3) for name, value in trainer.balanced.report.scalars().items()}
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=5)
    main(parser.parse_args().epochs)
