"""Kernels for what stands between products, in Triton; `operations` calls them.

A kernel has one program for each text and head (attention) or for some rows (norms). What a program
reads goes through memory once, and everything between stays in its registers, in fp32.

Shape letters: T tokens, D width, H heads, E width of one head, N tokens that a tile holds.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def probe(x):
    """Tells that kernels can be compiled and started: *x* becomes 1."""
    tl.store(x, 1.0)


@triton.jit
def _rows(base, tokens, columns, stride, is_token):
    """(N, E) of one head: the rows of its text, zeros behind them."""
    places = base + tokens[:, None] * stride + columns[None, :]
    return tl.load(places, mask=is_token[:, None], other=0.0)


@triton.jit
def _weights(q, k, is_token, scale):
    """(N, N) softmax over the keys that are there; rows behind the text are no matter."""
    scores = tl.where(is_token[None, :], tl.dot(q, tl.trans(k)) * scale, float("-inf"))
    powers = tl.exp(scores - tl.max(scores, 1)[:, None])
    return powers / tl.sum(powers, 1)[:, None]


@triton.jit
def attend(qkv, out, bounds, scale, H: tl.constexpr, E: tl.constexpr, N: tl.constexpr):
    """(T, 3 H E) → *out* (T, H E); *bounds* (texts + 1,) say where texts begin."""
    text, head = tl.program_id(0), tl.program_id(1)
    start = tl.load(bounds + text)
    tokens, columns = tl.arange(0, N), tl.arange(0, E)
    is_token = tokens < tl.load(bounds + text + 1) - start
    base = qkv + start.to(tl.int64) * (3 * H * E) + head * E
    q = _rows(base, tokens, columns, 3 * H * E, is_token)
    k = _rows(base + H * E, tokens, columns, 3 * H * E, is_token)
    v = _rows(base + 2 * H * E, tokens, columns, 3 * H * E, is_token)
    mixed = tl.dot(_weights(q, k, is_token, scale).to(v.dtype), v)
    places = out + start.to(tl.int64) * (H * E) + head * E
    places = places + tokens[:, None] * (H * E) + columns[None, :]
    tl.store(places, mixed.to(v.dtype), mask=is_token[:, None])


@triton.jit
def attend_backward(
    qkv, grad, of_qkv, bounds, scale, H: tl.constexpr, E: tl.constexpr, N: tl.constexpr
):
    """*grad* (T, H E) of what `attend` gave → *of_qkv* (T, 3 H E); weights are computed anew."""
    text, head = tl.program_id(0), tl.program_id(1)
    start = tl.load(bounds + text)
    tokens, columns = tl.arange(0, N), tl.arange(0, E)
    is_token = tokens < tl.load(bounds + text + 1) - start
    first = start.to(tl.int64) * (3 * H * E) + head * E
    q = _rows(qkv + first, tokens, columns, 3 * H * E, is_token)
    k = _rows(qkv + first + H * E, tokens, columns, 3 * H * E, is_token)
    v = _rows(qkv + first + 2 * H * E, tokens, columns, 3 * H * E, is_token)
    dy = _rows(grad + start.to(tl.int64) * (H * E) + head * E, tokens, columns, H * E, is_token)
    weights = _weights(q, k, is_token, scale)
    places = of_qkv + first + tokens[:, None] * (3 * H * E) + columns[None, :]
    dv = tl.dot(tl.trans(weights.to(dy.dtype)), dy)
    tl.store(places + 2 * H * E, dv.to(dy.dtype), mask=is_token[:, None])
    of_weights = tl.dot(dy, tl.trans(v))
    inner = tl.sum(weights * of_weights, 1)
    of_scores = (weights * (of_weights - inner[:, None]) * scale).to(q.dtype)
    tl.store(places, tl.dot(of_scores, k).to(q.dtype), mask=is_token[:, None])
    dk = tl.dot(tl.trans(of_scores), q)
    tl.store(places + H * E, dk.to(q.dtype), mask=is_token[:, None])


@triton.jit
def add_norm(
    x, y, weight, bias, summed, out, half, mean, rate, eps, D: tl.constexpr, BLOCK: tl.constexpr
):
    """One row: *x* fp32 + *y* → *summed*, and its layer norm as *out* fp32 and as *half*."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    is_column = columns < D
    places = row * D + columns
    s = tl.load(x + places, mask=is_column, other=0.0)
    s += tl.load(y + places, mask=is_column, other=0.0).to(tl.float32)
    m = tl.sum(s, 0) / D
    centred = tl.where(is_column, s - m, 0.0)
    r = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / D + eps)
    w = tl.load(weight + columns, mask=is_column, other=0.0)
    z = centred * r * w + tl.load(bias + columns, mask=is_column, other=0.0)
    tl.store(summed + places, s, mask=is_column)
    tl.store(out + places, z, mask=is_column)
    tl.store(half + places, z.to(half.dtype.element_ty), mask=is_column)
    tl.store(mean + row, m)
    tl.store(rate + row, r)


@triton.jit
def add_norm_backward(
    grad, grad_half, summed, mean, rate, weight, of_sum, of_half, parts, n_rows,
    HAS_HALF: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients of `add_norm`: *of_sum* fp32 and in the type of *y*, and three sums over rows.

    The sums, of the weight, of the bias, and of *y*'s own bias, come in *parts* (programs, 3, D).
    """
    program, n_programs = tl.program_id(0), tl.num_programs(0)
    columns = tl.arange(0, BLOCK)
    is_column = columns < D
    w = tl.load(weight + columns, mask=is_column, other=0.0)
    of_weight = tl.zeros([BLOCK], tl.float32)
    of_bias = tl.zeros([BLOCK], tl.float32)
    of_y = tl.zeros([BLOCK], tl.float32)
    for row in range(program, n_rows, n_programs):
        places = row * D + columns
        dz = tl.load(grad + places, mask=is_column, other=0.0)
        if HAS_HALF:
            dz += tl.load(grad_half + places, mask=is_column, other=0.0).to(tl.float32)
        s = tl.load(summed + places, mask=is_column, other=0.0)
        r = tl.load(rate + row)
        z = tl.where(is_column, (s - tl.load(mean + row)) * r, 0.0)
        slope = dz * w
        ds = r * (slope - tl.sum(slope, 0) / D - z * (tl.sum(slope * z, 0) / D))
        tl.store(of_sum + places, ds, mask=is_column)
        tl.store(of_half + places, ds.to(of_half.dtype.element_ty), mask=is_column)
        of_weight += dz * z
        of_bias += dz
        of_y += ds
    places = parts + program * (3 * D) + columns
    tl.store(places, of_weight, mask=is_column)
    tl.store(places + D, of_bias, mask=is_column)
    tl.store(places + 2 * D, of_y, mask=is_column)


@triton.jit
def rms_norm(x, weight, out, rate, eps, D: tl.constexpr, BLOCK: tl.constexpr):
    """One row: ``x w / root mean square(x)`` in the type of *out*."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    is_column = columns < D
    z = tl.load(x + row * D + columns, mask=is_column, other=0.0).to(tl.float32)
    r = 1.0 / tl.sqrt(tl.sum(z * z, 0) / D + eps)
    z = z * r * tl.load(weight + columns, mask=is_column, other=0.0)
    tl.store(out + row * D + columns, z.to(out.dtype.element_ty), mask=is_column)
    tl.store(rate + row, r)


@triton.jit
def rms_norm_backward(grad, x, weight, rate, of_x, D: tl.constexpr, BLOCK: tl.constexpr):
    """One row: the gradient of *x*."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    is_column = columns < D
    places = row * D + columns
    z = tl.load(x + places, mask=is_column, other=0.0).to(tl.float32)
    h = tl.load(grad + places, mask=is_column, other=0.0).to(tl.float32)
    h *= tl.load(weight + columns, mask=is_column, other=0.0)
    r = tl.load(rate + row)
    dx = r * h - z * (r * r * r * tl.sum(h * z, 0) / D)
    tl.store(of_x + places, dx.to(of_x.dtype.element_ty), mask=is_column)


@triton.jit
def turn(
    heads, positions, rates, out, sign, scale,
    HEADS: tl.constexpr, KEYS_END: tl.constexpr, QUERIES_END: tl.constexpr,
    HALF: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One head of one token: turned by its position, where it is a query or a key.

    Queries come first and are multiplied by *scale*; then keys; then values, which stay.
    """
    token, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    columns = tl.arange(0, BLOCK)
    is_column = columns < HALF
    base = (token * HEADS + head) * (2 * HALF)
    first = tl.load(heads + base + columns, mask=is_column, other=0.0).to(tl.float32)
    second = tl.load(heads + base + HALF + columns, mask=is_column, other=0.0).to(tl.float32)
    angle = tl.load(positions + token).to(tl.float32)
    angle = angle * tl.load(rates + columns, mask=is_column, other=0.0)
    is_turned = head < KEYS_END
    factor = tl.where(head < QUERIES_END, scale, 1.0)
    cos = tl.where(is_turned, tl.cos(angle), 1.0) * factor
    sin = tl.where(is_turned, tl.sin(angle), 0.0) * factor * sign
    kind = out.dtype.element_ty
    tl.store(out + base + columns, (first * cos - second * sin).to(kind), mask=is_column)
    tl.store(out + base + HALF + columns, (second * cos + first * sin).to(kind), mask=is_column)


@triton.jit
def gate(both, out, n_columns, BLOCK: tl.constexpr):
    """Some columns of a row of *both* (T, 2 W), gates and inputs → ``silu(gate) * input``."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    is_column = columns < n_columns
    places = both + row * 2 * n_columns + columns
    g = tl.load(places, mask=is_column, other=0.0).to(tl.float32)
    u = tl.load(places + n_columns, mask=is_column, other=0.0).to(tl.float32)
    y = g * tl.sigmoid(g) * u
    tl.store(out + row * n_columns + columns, y.to(out.dtype.element_ty), mask=is_column)


@triton.jit
def gate_backward(grad, both, of_both, n_columns, BLOCK: tl.constexpr):
    """The gradient of *both*."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    is_column = columns < n_columns
    first = row * 2 * n_columns + columns
    g = tl.load(both + first, mask=is_column, other=0.0).to(tl.float32)
    u = tl.load(both + first + n_columns, mask=is_column, other=0.0).to(tl.float32)
    dy = tl.load(grad + row * n_columns + columns, mask=is_column, other=0.0).to(tl.float32)
    s = tl.sigmoid(g)
    kind = of_both.dtype.element_ty
    tl.store(of_both + first, (dy * u * s * (1.0 + g * (1.0 - s))).to(kind), mask=is_column)
    tl.store(of_both + first + n_columns, (dy * g * s).to(kind), mask=is_column)
