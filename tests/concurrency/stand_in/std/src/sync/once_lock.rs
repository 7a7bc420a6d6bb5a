use loom::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};

/// A value that is set once. A reader sees it once `loom` shows that it is set.
#[derive(Debug)]
pub struct OnceLock<T> {
    value: ::std::sync::OnceLock<T>,
    is_set: AtomicBool,
}

impl<T> OnceLock<T> {
    pub fn get(&self) -> Option<&T> {
        if self.is_set.load(Acquire) { self.value.get() } else { None }
    }

    pub fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        self.is_set.store(true, Release);
        Ok(())
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self { value: ::std::sync::OnceLock::new(), is_set: AtomicBool::new(false) }
    }
}
