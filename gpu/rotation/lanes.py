"""Elementary functions of many lanes at once, in arithmetic alone, so that LLVM puts them on the vector unit.

The reductions and polynomials are those of Sun's fdlibm (logarithm, exponential) and of Moshier's Cephes (arctangent).
Every lane has the same bits alone as in company. NaN stays NaN.
"""

import numpy as np
from numba import njit

#: ln 2 in two parts, and the mantissa of sqrt(1/2) as an integer: the split of ln(m 2^k) into ln m + k ln 2.
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
LOG2_E = 1.44269504088896338700
SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
#: The minimax polynomial of ln((1 + s) / (1 - s)) / s - 2 in s^2.
L1, L2, L3, L4 = 6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01
L5, L6, L7 = 1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01
#: The minimax polynomial of r coth(r / 2) - 2 in r^2.
E1, E2, E3 = 1.66666666666666019037e-01, -2.77777777770155933842e-03, 6.61375632143793436117e-05
E4, E5 = -1.65339022054652515390e-06, 4.13813679705723846039e-08
#: Added and taken away again, it rounds to an integer, which stands in its last bits meanwhile.
ROUNDER = 1.5 * 2.0**52
#: Beyond these the exponential is no normal number.
LOWEST, HIGHEST = -708.0, 709.0
#: The rational function (atan(t) / t - 1) / t^2 in t^2 for t from -0.66 to 0.66, tan(3 pi / 8), and what pi / 2 lacks.
P0, P1, P2 = -8.750608600031904122785e-01, -1.615753718733365076637e01, -7.500855792314704667340e01
P3, P4 = -1.228866684490136173410e02, -6.485021904942025371773e01
Q0, Q1, Q2 = 2.485846490142306297962e01, 1.650270098316988542046e02, 4.328810604912902668951e02
Q3, Q4 = 4.853903996359136964868e02, 1.945506571482613964425e02
TAN_3PI_8, PI_2_REST = 2.41421356237309504880, 6.123233995736765886130e-17
PI_2, PI_4 = 0.5 * np.pi, 0.25 * np.pi


@njit(error_model="numpy", inline="always")
def log1p_lanes(x, exponent, out):
    """Write ln(1 + x) for x >= 0, to 4 units in the last place.

    m = (1 + x) / 2^k in [sqrt(1/2), sqrt(2)), then the polynomial of ln((1 + s) / (1 - s)), s = (m - 1) / (m + 1).
    """
    bits = out.view(np.int64)
    for w in range(x.shape[0]):
        out[w] = 1.0 + x[w]
    for w in range(x.shape[0]):
        k = (bits[w] - np.int64(SQRT_HALF_BITS)) >> np.int64(52)
        exponent[w] = k
        bits[w] -= k << np.int64(52)
    for w in range(x.shape[0]):
        f = x[w] if exponent[w] == 0.0 else out[w] - 1.0  # 1 + x has rounded the last digits of a small x away
        s = f / (2.0 + f)
        z = s * s
        tail = z * (L1 + z * (L2 + z * (L3 + z * (L4 + z * (L5 + z * (L6 + z * L7))))))
        log1p = exponent[w] * LN2_HIGH + (s * (2.0 + tail) + exponent[w] * LN2_LOW)
        out[w] = log1p if x[w] == x[w] else x[w]  # the split has made a number of NaN


@njit(error_model="numpy", inline="always")
def _exp_reduced(x, scale, out):
    """Write 2^k to `scale` and e^r - 1 to `out`, where x = r + k ln 2."""
    bits = scale.view(np.int64)
    for w in range(x.shape[0]):
        y = LOWEST if x[w] < LOWEST else HIGHEST if x[w] > HIGHEST else x[w]
        scale[w] = y * LOG2_E + ROUNDER
        k = scale[w] - ROUNDER
        high, low = y - k * LN2_HIGH, k * LN2_LOW
        r = high - low
        t = r * r
        c = r - t * (E1 + t * (E2 + t * (E3 + t * (E4 + t * E5))))
        out[w] = high - (low - r * c / (2.0 - c))
    for w in range(x.shape[0]):
        bits[w] = (bits[w] + np.int64(1023)) << np.int64(52)


@njit(error_model="numpy", inline="always")
def exp_lanes(x, scale, out):
    """Write e^x, to 2 units in the last place; x is held within [-708, 709]."""
    _exp_reduced(x, scale, out)
    for w in range(x.shape[0]):
        out[w] = scale[w] * (1.0 + out[w])


@njit(error_model="numpy", inline="always")
def expm1_lanes(x, scale, out):
    """Write e^x - 1 for x >= 0, to 3 units in the last place; x is held below 709."""
    _exp_reduced(x, scale, out)
    for w in range(x.shape[0]):
        out[w] = scale[w] * out[w] + (scale[w] - 1.0)


@njit(error_model="numpy", inline="always")
def atan_lanes(x, out):
    """Write the arctangent of x >= 0, to 2 units in the last place."""
    for w in range(x.shape[0]):
        far, near = x[w] > TAN_3PI_8, x[w] <= 0.66
        above = -1.0 if far else x[w] if near else x[w] - 1.0
        below = x[w] if far else 1.0 if near else x[w] + 1.0
        start = PI_2 if far else 0.0 if near else PI_4
        rest = PI_2_REST if far else 0.0 if near else 0.5 * PI_2_REST
        t = above / below
        z = t * t
        p = z * (P4 + z * (P3 + z * (P2 + z * (P1 + z * P0))))
        q = Q4 + z * (Q3 + z * (Q2 + z * (Q1 + z * (Q0 + z))))
        out[w] = start + (t + (t * (p / q) + rest))
