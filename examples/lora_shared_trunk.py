"""LoRA on one transformer that two modalities share: their losses are balanced on the adapters.

Each modality has its own embedding and head. The frozen trunk reads the tokens of one modality, or
of both for the joint loss, so that all three losses reach its LoRA parameters. These are the one
encoder.

The tokens are the rows of a handwritten digit: four of the upper half, four of the lower.

    python examples/lora_shared_trunk.py --epochs 10
"""

import argparse

import torch
from peft import LoraConfig, get_peft_model
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset, random_split
from transformers import BertConfig, BertModel

import mmpareto as mp


class SharedTrunk(nn.Module):
    """Embedding and head per modality around one trunk, whose LoRA adapters alone are trained."""

    def __init__(self) -> None:
        super().__init__()
        config = BertConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
        )
        trunk = BertModel(
            config, add_pooling_layer=False
        )  # in earnest, BertModel.from_pretrained(...)
        self.trunk = get_peft_model(trunk, LoraConfig(r=4, target_modules=["query", "value"]))
        self.embeddings = nn.ModuleDict({name: nn.Linear(8, 32) for name in ("upper", "lower")})
        self.heads = nn.ModuleDict(
            {name: nn.Linear(32, 10) for name in ("joint", "upper", "lower")}
        )

    def forward(self, upper: Tensor, lower: Tensor) -> dict[str, Tensor]:
        """Logits by objective, of tokens [N, 4, 8]."""
        tokens = {
            "upper": self.embeddings["upper"](upper),
            "lower": self.embeddings["lower"](lower),
        }
        tokens["joint"] = torch.cat([tokens["upper"], tokens["lower"]], dim=1)
        features = {
            name: self.trunk(inputs_embeds=x).last_hidden_state.mean(1)
            for name, x in tokens.items()
        }
        return {name: head(features[name]) for name, head in self.heads.items()}


def main(epochs: int) -> None:
    torch.manual_seed(0)
    images, labels = map(torch.tensor, load_digits(return_X_y=True))
    upper, lower = (images.float() / 16).view(-1, 8, 8).chunk(2, dim=1)
    train, test = random_split(TensorDataset(upper, lower, labels), [0.8, 0.2])
    model = SharedTrunk()
    adapters = [parameter for parameter in model.trunk.parameters() if parameter.requires_grad]
    encoders = mp.Partition(
        model, trunk=adapters
    )  # after get_peft_model, which added them and froze the rest
    method = mp.MMPareto(gamma=1.5)
    optimizer = torch.optim.SGD([*adapters, *encoders.rest], lr=0.1, momentum=0.9)

    for epoch in range(1, epochs + 1):
        model.train()
        total, conflicts = torch.zeros(()), torch.zeros(())
        for upper, lower, label in DataLoader(train, batch_size=32, shuffle=True):
            losses = {
                name: cross_entropy(logits, label) for name, logits in model(upper, lower).items()
            }
            optimizer.zero_grad()
            report = mp.backward(losses, encoders, method)
            optimizer.step()
            total += losses["joint"].detach() * len(label)
            conflicts += report["trunk"].conflict
        model.eval()
        with torch.no_grad():
            upper, lower, label = test[:]
            accuracy = (model(upper, lower)["joint"].argmax(1) == label).float().mean()
        print(
            f"epoch {epoch}: loss {total / len(train):.4f}, accuracy {accuracy:.3f}, conflicts "
            f"{conflicts:.0f}"
        )
    print(
        f"trained in the trunk: {sum(parameter.numel() for parameter in encoders['trunk'])} "
        "parameters"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=10)
    main(parser.parse_args().epochs)
