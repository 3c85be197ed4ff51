//! The one source of randomness: a counter-based generator keyed by (seed, purpose, index).
//!
//! There is no state to save and no order to keep: draw `k` of item `i` for a purpose is a pure function, the same on
//! every machine, for any number of threads, and after any interruption. The mixing function is the finaliser of
//! SplitMix64 (Steele, Lea & Flood 2014) applied to a Weyl sequence whose start and odd increment are keyed by blake3.

/// The draws for one purpose under one seed.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u64; 4],
}

impl Stream {
    /// The stream of `seed` for `purpose`, such as `"data order/pretrain"`.
    pub fn new(seed: u64, purpose: &str) -> Stream {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"emberlab stream 1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(purpose.as_bytes());
        let bytes = *hasher.finalize().as_bytes();
        let mut key = [0; 4];
        for (word, chunk) in key.iter_mut().zip(bytes.chunks_exact(8)) {
            let mut buffer = [0; 8];
            buffer.copy_from_slice(chunk);
            *word = u64::from_le_bytes(buffer);
        }
        Stream { key }
    }

    /// The draws of item `index`.
    pub fn at(&self, index: u64) -> Draws {
        let start = mix(self.key[0] ^ mix(index.wrapping_add(self.key[1])));
        let step = mix(self.key[2] ^ mix(index ^ self.key[3])) | 1;
        Draws { state: start, step, spare: None }
    }

    /// A permutation of `0..n`, the same for every caller (Fisher–Yates).
    pub fn permutation(&self, index: u64, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        let mut draws = self.at(index);
        for i in (1..n).rev() {
            order.swap(i, draws.below(i as u64 + 1) as usize);
        }
        order
    }
}

/// The draws of one item, in order.
#[derive(Clone, Debug)]
pub struct Draws {
    state: u64,
    step: u64,
    spare: Option<f64>,
}

impl Draws {
    /// Goes past `count` draws of [`Draws::next_u64`] at once.
    pub fn skip(&mut self, count: u64) {
        self.state = self.state.wrapping_add(self.step.wrapping_mul(count));
    }

    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(self.step);
        mix(self.state)
    }

    /// Uniform in `[0, 1)`, with 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `0..n`, without bias (Lemire 2019); 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            let low = product as u64;
            if low >= n || low >= n.wrapping_neg() % n {
                return (product >> 64) as u64;
            }
        }
    }

    /// Standard normal (Box–Muller).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::Stream;

    #[test]
    fn draws_depend_on_seed_purpose_and_index_only() {
        let draw = |seed, purpose, index| Stream::new(seed, purpose).at(index).next_u64();
        assert_eq!(draw(1, "a", 0), draw(1, "a", 0));
        assert_ne!(draw(1, "a", 0), draw(2, "a", 0));
        assert_ne!(draw(1, "a", 0), draw(1, "b", 0));
        assert_ne!(draw(1, "a", 0), draw(1, "a", 1));
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let stream = Stream::new(7, "moments");
        let n = 200_000;
        let (mut sum, mut square, mut uniform, mut counts) = (0.0, 0.0, 0.0, [0usize; 6]);
        for i in 0..n {
            let mut d = stream.at(i);
            let x = d.normal();
            sum += x;
            square += x * x;
            uniform += d.uniform();
            counts[d.below(6) as usize] += 1;
        }
        let n = n as f64;
        assert!((sum / n).abs() < 0.01 && (square / n - 1.0).abs() < 0.02 && (uniform / n - 0.5).abs() < 0.005);
        assert!(counts.iter().all(|c| (*c as f64 - n / 6.0).abs() < 5.0 * (n / 6.0).sqrt()));
    }

    #[test]
    fn a_permutation_holds_each_once() {
        let mut order = Stream::new(1, "order").permutation(3, 1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }
}
