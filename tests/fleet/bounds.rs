//! What a fleet declares, and what really happens to it.

/// All in seconds. What is declared goes into the policy; what happens is drawn within the
/// rest, and is within what was declared unless a test goes beyond it.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Declared: how long what is signed lives.
    pub life: u64,
    /// Declared: within which every instance learns of a change.
    pub rollout: u64,
    /// Declared: between the clocks of two instances.
    pub skew: u64,
    /// Declared: how often a store is asked.
    pub poll: u64,
    /// Declared: how old what an instance holds may be.
    pub max_staleness: Option<u64>,
    /// Happens: how far a clock may be off, from the right time.
    pub clock_off: u64,
    /// Happens: for how long a store may fail.
    pub outage: u64,
    /// Happens: how old what a store shows may be.
    pub lag: u64,
    /// Happens: how long what is signed really lives.
    pub real_life: u64,
    /// Happens: how many instances there are.
    pub instances: usize,
    /// Happens: how many requests an hour are looked at.
    pub requests_an_hour: u64,
    /// Happens: whether a key leaks.
    pub leaks: bool,
    /// Happens: whether a process that starts may read what is older than what the one before
    /// it held. That is beyond what is declared where a key is promoted by reports, before
    /// every instance must hold it: the process that agreed is gone.
    pub starts_go_back: bool,
}

impl Bounds {
    /// As a seed has it, and all that happens is within what is declared.
    pub fn from_random(random: &mut fastrand::Rng) -> Self {
        let life = [2 * 3600, 8 * 3600, 24 * 3600][random.usize(..3)];
        let rollout = 3600;
        let poll = random.u64(10..120);
        // Asked again within a poll and a quarter of its return.
        let outage = rollout - 2 * poll;
        let max_staleness = random.bool().then_some(1800);
        Self {
            life,
            rollout,
            skew: 300,
            poll,
            max_staleness,
            clock_off: 150,
            // Beyond the window only where nothing is served that is too old.
            outage: if max_staleness.is_some() { 3 * rollout } else { outage },
            lag: outage,
            real_life: life,
            instances: random.usize(2..=5),
            requests_an_hour: 40,
            leaks: random.u64(..3) == 0,
            starts_go_back: true,
        }
    }

    /// The same for operators who take any step: short lives, so that many of them end.
    pub fn for_any_step(random: &mut fastrand::Rng) -> Self {
        let bounds = Self::from_random(random);
        let life = [1800, 2 * 3600, 4 * 3600][random.usize(..3)];
        let max_staleness = bounds.max_staleness.filter(|_| random.bool());
        Self {
            life,
            real_life: life,
            requests_an_hour: 8,
            leaks: false,
            starts_go_back: false,
            max_staleness,
            outage: if max_staleness.is_some() { bounds.outage } else { bounds.lag },
            ..bounds
        }
    }

    /// How long an instance that can reach its store may take what was revoked.
    pub fn propagation(&self) -> u64 {
        self.poll * 5 / 4 + 2
    }
}
