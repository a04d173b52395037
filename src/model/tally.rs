//! A count of what is compared, parsed and cut: the tests hold by it how costs grow. Nothing is counted in what is shipped.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Counts so many elementary operations.
#[inline]
pub(crate) fn counted(operations: usize) {
    #[cfg(test)]
    COUNT.with(|count| count.set(count.get() + operations as u64));
    #[cfg(not(test))]
    let _ = operations;
}

/// How many operations it takes to do something.
#[cfg(test)]
pub(crate) fn count(act: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    act();
    COUNT.with(Cell::get) - before
}
