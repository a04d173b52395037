//! A count of comparisons, parsed words and cut ranges: tests check with it how costs grow. Release builds count nothing.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Counts this many elementary operations.
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
