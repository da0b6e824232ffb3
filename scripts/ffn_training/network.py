"""The network of Januszewski et al. 2018, figure 1: a stack of residual modules over (image, object map)."""
import torch
from torch import nn
from torch.nn import functional


class Network(nn.Module):
    """Input [batch, 2, z, y, x]: normalised image, logits of the object map. Output [batch, 1, z, y, x]: new logits."""

    def __init__(self, depth, features):
        super().__init__()
        self.depth = depth
        for i in range(depth):
            for part in 'ab':
                inputs = 2 if (i, part) == (0, 'a') else features
                self.add_module(f'conv{i}_{part}', nn.Conv3d(inputs, features, 3, padding=1))
        self.conv_lom = nn.Conv3d(features, 1, 1)
        self.initialise()

    def initialise(self):
        for layer in self.children():
            nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')
            nn.init.zeros_(layer.bias)
        for i in range(1, self.depth):  # keeps the sum over the modules at the size of one
            with torch.no_grad():
                self.get_submodule(f'conv{i}_b').weight.mul_((self.depth - 1) ** -.5)
        nn.init.normal_(self.conv_lom.weight, std=.01)  # the untrained network leaves the map nearly as it is

    def forward(self, x):
        relu = functional.relu
        y = self.conv0_b(relu(self.conv0_a(x), inplace=True))
        for i in range(1, self.depth):
            a, b = self.get_submodule(f'conv{i}_a'), self.get_submodule(f'conv{i}_b')
            y = y + b(relu(a(relu(y)), inplace=True))
        return x[:, 1:] + self.conv_lom(relu(y))


def export_layers(network, tensors):
    """[(name, weights, biases)] for weights_file.write from tensors in the order of network.parameters()."""
    values = {name: t.detach().cpu() for (name, _), t in zip(network.named_parameters(), tensors)}
    return [(name, values[f'{name}.weight'].permute(2, 3, 4, 1, 0).contiguous().numpy(), values[f'{name}.bias'].numpy())
            for name, _ in network.named_children()]
