#!/usr/bin/python3
"""S4D and S4 layers as PyTorch users write them: kernel, then FFT convolution, plus the skip.

Sequences are channel-major here, as this form wants them. layer_server.py has the requests.
"""

import layer_server
import torch


def s4d_kernel(p, length):
    """K_l = 2 Re sum_n C_n B_n f_n a_n^l with zero-order hold."""
    A = torch.complex(-torch.exp(p["A_log_re"]), p["A_im"])
    dtA = A * torch.exp(p["log_dt"])[:, None]
    c = torch.view_as_complex(p["C"]) * torch.view_as_complex(p["B"]) * (torch.exp(dtA) - 1) / A
    powers = torch.exp(dtA[..., None] * torch.arange(length))
    return 2 * torch.einsum("hn,hnl->hl", c, powers).real


def cauchy(v, z, dtA):
    """sum_n v_n / (z - dt A_n) + conjugate, for the nodes z."""
    v, dtA = v[..., None], dtA[..., None]
    return (v / (z - dtA) + v.conj() / (z - dtA.conj())).sum(-2)


def s4_kernel(p, length):
    """The truncated generating function at the roots of unity, Woodbury for the rank-one part.

    What is called C here is the truncated readout that S4 learns in its place.
    """
    A = torch.complex(-torch.exp(p["A_log_re"]), p["A_im"])
    dt = torch.exp(p["log_dt"])[:, None]
    B, P, C = (torch.view_as_complex(p[name]) for name in ("B", "P", "C"))
    w = torch.exp(-2j * torch.pi * torch.arange(length // 2 + 1) / length)
    # The node w = -1 is a pole of z; keep it finite, as the reference code does by rounding.
    z = 2 * (1 - w) / (1 + w + 1e-7)
    dtA = dt * A
    k00, k01 = cauchy(dt * B * C, z, dtA), cauchy(dt * P * C, z, dtA)
    k10, k11 = cauchy(dt * B * P.conj(), z, dtA), cauchy(dt * P * P.conj(), z, dtA)
    spectrum = 2 / (1 + w) * (k00 - k01 * k10 / (1 + k11))
    return torch.fft.irfft(spectrum, n=length)


def convolve(u, kernel, D):
    """Causal convolution over the last dimension by FFT, plus the skip."""
    n = 2 * u.shape[-1]
    y = torch.fft.irfft(torch.fft.rfft(u, n=n) * torch.fft.rfft(kernel, n=n), n=n)
    return y[..., : u.shape[-1]] + D[:, None] * u


KERNELS = {"s4d": s4d_kernel, "s4": s4_kernel}


def make_parameters(family, channels, modes):
    n = torch.arange(modes)
    p = {"A_log_re": torch.full((channels, modes), 0.5).log(),
         "A_im": torch.pi * n.repeat(channels, 1).float(),
         "log_dt": torch.empty(channels).uniform_(-6.9, -2.3),
         "B": torch.stack([torch.ones(channels, modes), torch.zeros(channels, modes)], -1),
         "C": torch.randn(channels, modes, 2) * 0.5 ** 0.5,
         "D": torch.randn(channels)}
    if family == "s4":
        p["P"] = torch.stack([(n + 0.5).sqrt().repeat(channels, 1),
                              torch.zeros(channels, modes)], -1)
    return {name: value.contiguous().requires_grad_() for name, value in p.items()}


def layer(request, p):
    """The layer as a function of u (batch, channels, length)."""
    kernel = KERNELS[request["family"]]
    return lambda u: convolve(u, kernel(p, u.shape[-1]), p["D"])


def make(request):
    return layer(request, make_parameters(request["family"], request["channels"],
                                          request["state"] // 2))


def load(request, read):
    channels, modes = request["channels"], request["state"] // 2
    p = {"A_log_re": read("A_log_re", (channels, modes)), "A_im": read("A_im", (channels, modes)),
         "log_dt": read("log_dt", (channels,)), "B": read("B", (channels, modes, 2)),
         "C": read("Ct" if request["family"] == "s4" else "C", (channels, modes, 2)),
         "D": read("D", (channels,))}
    if request["family"] == "s4":
        p["P"] = read("P", (1, channels, modes, 2))[0]
    return layer(request, p)


if __name__ == "__main__":
    layer_server.serve(make, load, arrange=lambda u: u.transpose(1, 2).contiguous())
