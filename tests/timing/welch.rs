//! Welch's t between the times of two classes, taken in random order on a warm machine.

use std::time::Instant;

/// Work on inputs of two classes.
pub trait Timed {
    /// Puts one of the inputs of `class`, by chance, into its place: the same for all, so
    /// that it is the work on it that is timed and not where it lies.
    fn prepare(&mut self, class: usize, random: usize);

    /// Does the work, which is timed.
    fn run(&mut self);
}

/// Times `work` on each of its two classes, and says how far the means are apart, in
/// standard errors: the largest over several cuts of the slowest samples, which the
/// machine and not the code is the reason of.
pub fn measure(samples: usize, work: &mut dyn Timed) -> f64 {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 32) as usize
    };
    for _ in 0..10_000 {
        work.prepare(random() & 1, random());
        work.run();
    }
    let mut times: Vec<(usize, u32)> = Vec::with_capacity(samples);
    for _ in 0..samples {
        let class = random() & 1;
        work.prepare(class, random());
        let started = Instant::now();
        work.run();
        let nanoseconds = started.elapsed().as_nanos();
        times.push((class, u32::try_from(nanoseconds).unwrap_or(u32::MAX)));
    }
    let mut sorted: Vec<u32> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_unstable();
    [0.5, 0.8, 0.9, 0.95, 0.99]
        .into_iter()
        .map(|share| {
            let cut = sorted[(samples as f64 * share) as usize];
            welch(times.iter().filter(|(_, time)| *time <= cut))
        })
        .max_by(|one, other| one.abs().total_cmp(&other.abs()))
        .unwrap_or_default()
}

fn welch<'t>(times: impl Iterator<Item = &'t (usize, u32)>) -> f64 {
    let mut classes = [Moments::default(), Moments::default()];
    for (class, time) in times {
        classes[*class].add(f64::from(*time));
    }
    let error: f64 = classes.iter().map(Moments::squared_error).sum();
    (classes[0].mean - classes[1].mean) / error.max(f64::MIN_POSITIVE).sqrt()
}

/// Mean and variance in one pass (Welford's method).
#[derive(Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
    }

    /// Of the mean.
    fn squared_error(&self) -> f64 {
        self.squares / (self.count - 1.0).max(1.0) / self.count.max(1.0)
    }
}
