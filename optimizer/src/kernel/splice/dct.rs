//! The discrete cosine transform of 8 x 8 samples, in integers.
//!
//! In: 64 numbers, row by row. Out: 64 numbers. Cost: about 0.1 us each way. Integers only, and arithmetic that wraps
//! where a hostile file makes it: the same result on every processor, and never a panic.
//! Source: the accurate integer transform of libjpeg (`jidctint.c`, `jfdctint.c`), after Loeffler, Ligtenberg and
//! Moschytz, "Practical fast 1-D DCT algorithms with 11 multiplications", 1989. What the inverse gives is what
//! libjpeg's default decoder shows.

use std::num::Wrapping;

type Number = Wrapping<i32>;

/// Bits after the point of the constants.
const SCALE: usize = 13;
/// Bits after the point kept between the two passes.
const BETWEEN: usize = 2;

const F_0_298: Number = Wrapping(2446);
const F_0_390: Number = Wrapping(3196);
const F_0_541: Number = Wrapping(4433);
const F_0_765: Number = Wrapping(6270);
const F_0_899: Number = Wrapping(7373);
const F_1_175: Number = Wrapping(9633);
const F_1_501: Number = Wrapping(12299);
const F_1_847: Number = Wrapping(15137);
const F_1_961: Number = Wrapping(16069);
const F_2_053: Number = Wrapping(16819);
const F_2_562: Number = Wrapping(20995);
const F_3_072: Number = Wrapping(25172);

fn rounded(value: Number, bits: usize) -> Number {
    (value + (Wrapping(1) << (bits - 1))) >> bits
}

/// Eight numbers of a row or a column.
type Line = [Number; 8];

fn inverse_line([v0, v1, v2, v3, v4, v5, v6, v7]: Line, down: usize) -> Line {
    let z = (v2 + v6) * F_0_541;
    let low = z - v6 * F_1_847;
    let high = z + v2 * F_0_765;
    let (sum, difference) = ((v0 + v4) << SCALE, (v0 - v4) << SCALE);
    let even = [sum + high, difference + low, difference - low, sum - high];

    let z5 = (v7 + v3 + v5 + v1) * F_1_175;
    let z1 = (v7 + v1) * -F_0_899;
    let z2 = (v5 + v3) * -F_2_562;
    let z3 = (v7 + v3) * -F_1_961 + z5;
    let z4 = (v5 + v1) * -F_0_390 + z5;
    let odd = [v1 * F_1_501 + z1 + z4, v3 * F_3_072 + z2 + z3, v5 * F_2_053 + z2 + z4, v7 * F_0_298 + z1 + z3];

    let mut line = [Wrapping(0); 8];
    for (at, (even, odd)) in even.into_iter().zip(odd).enumerate() {
        line[at] = rounded(even + odd, down);
        line[7 - at] = rounded(even - odd, down);
    }
    line
}

fn forward_line([v0, v1, v2, v3, v4, v5, v6, v7]: Line, first: impl Fn(Number) -> Number, down: usize) -> Line {
    let [t0, t1, t2, t3] = [v0 + v7, v1 + v6, v2 + v5, v3 + v4];
    let [t7, t6, t5, t4] = [v0 - v7, v1 - v6, v2 - v5, v3 - v4];
    let (t10, t13, t11, t12) = (t0 + t3, t0 - t3, t1 + t2, t1 - t2);
    let z = (t12 + t13) * F_0_541;

    let z5 = (t4 + t6 + t5 + t7) * F_1_175;
    let z1 = (t4 + t7) * -F_0_899;
    let z2 = (t5 + t6) * -F_2_562;
    let z3 = (t4 + t6) * -F_1_961 + z5;
    let z4 = (t5 + t7) * -F_0_390 + z5;
    [
        first(t10 + t11),
        rounded(t7 * F_1_501 + z1 + z4, down),
        rounded(z + t13 * F_0_765, down),
        rounded(t6 * F_3_072 + z2 + z3, down),
        first(t10 - t11),
        rounded(t5 * F_2_053 + z2 + z4, down),
        rounded(z - t12 * F_1_847, down),
        rounded(t4 * F_0_298 + z1 + z3, down),
    ]
}

fn lines(block: &mut [Number; 64], line: impl Fn(Line) -> Line) {
    for row in block.as_chunks_mut::<8>().0 {
        *row = line(*row);
    }
}

fn columns(block: &mut [Number; 64], line: impl Fn(Line) -> Line) {
    for x in 0..8 {
        let mut column = [Wrapping(0); 8];
        for (y, value) in column.iter_mut().enumerate() {
            *value = block[8 * y + x];
        }
        for (y, value) in line(column).into_iter().enumerate() {
            block[8 * y + x] = value;
        }
    }
}

/// Coefficients to samples around zero, not clamped.
pub(super) fn inverse(block: &[i32; 64]) -> [i32; 64] {
    let mut block = block.map(Wrapping);
    columns(&mut block, |line| inverse_line(line, SCALE - BETWEEN));
    lines(&mut block, |line| inverse_line(line, SCALE + BETWEEN + 3));
    block.map(|Wrapping(sample)| sample)
}

/// Samples around zero to coefficients, each eight times as large as a JPEG means it.
pub(super) fn forward(block: &[i32; 64]) -> [i32; 64] {
    let mut block = block.map(Wrapping);
    lines(&mut block, |line| forward_line(line, |sum| sum << BETWEEN, SCALE - BETWEEN));
    columns(&mut block, |line| forward_line(line, |sum| rounded(sum, BETWEEN), SCALE + BETWEEN));
    block.map(|Wrapping(coefficient)| coefficient)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By definition (T.81, section A.3.3).
    fn exact(block: &[i32; 64], u: usize, v: usize) -> f64 {
        let c = |k: usize| if k == 0 { 0.5_f64.sqrt() } else { 1.0 };
        let wave = |x: usize, k: usize| {
            (f64::from(u32::try_from((2 * x + 1) * k).unwrap()) * std::f64::consts::PI / 16.0).cos()
        };
        let cells = (0..64).map(|at| f64::from(block[at]) * wave(at % 8, u) * wave(at / 8, v));
        0.25 * c(u) * c(v) * cells.sum::<f64>()
    }

    fn noise(seed: i32) -> [i32; 64] {
        let mut state = Wrapping(seed);
        std::array::from_fn(|_| {
            state = state * Wrapping(1_103_515_245) + Wrapping(12_345);
            (state.0 >> 16) % 256
        })
    }

    #[test]
    fn the_forward_transform_is_within_a_fifth_of_the_definition() {
        for seed in 1..20 {
            let block = noise(seed);
            let found = forward(&block);
            for (at, found) in found.into_iter().enumerate() {
                let error = f64::from(found) / 8.0 - exact(&block, at % 8, at / 8);
                assert!(error.abs() < 0.2, "{error} at {at}");
            }
        }
    }

    #[test]
    fn the_inverse_takes_back_rounded_coefficients_within_two() {
        for seed in 1..200 {
            let block = noise(seed);
            let back = inverse(&forward(&block).map(|coefficient| (coefficient + 4) >> 3));
            assert!(back.iter().zip(block).all(|(back, was)| back.abs_diff(was) <= 2), "{seed}");
        }
    }

    #[test]
    fn no_coefficients_make_it_panic() {
        for extreme in [i32::MIN, i32::MAX, 1 << 20] {
            inverse(&[extreme; 64]);
            forward(&[extreme; 64]);
        }
    }
}
