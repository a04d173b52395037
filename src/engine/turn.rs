//! Turns for reading an answer and planning. For a node with thousands of rules both take some megabytes, and hundreds of nodes that answer at the
//! same time would all be read and planned at once: that is no faster than one node for each processor, and needs the memory of all.

use std::sync::Condvar;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

/// As many turns as there are processors.
static TURNS: LazyLock<Turns> =
    LazyLock::new(|| Turns::new(thread::available_parallelism().map_or(1, Into::into)));

struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A turn, until it is dropped. Whoever has one waits neither for a node nor for another turn.
pub(super) struct Turn<'a>(&'a Turns);

impl Turn<'_> {
    /// Waits for a turn.
    pub(super) fn wait() -> Turn<'static> {
        TURNS.wait()
    }
}

impl Turns {
    fn new(turns: usize) -> Self {
        Turns {
            free: Mutex::new(turns),
            freed: Condvar::new(),
        }
    }

    fn wait(&self) -> Turn<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.freed.wait_while(free, |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let turns = self.0;
        *turns.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        turns.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::*;

    /// To see it fail: take nothing from `free`.
    #[test]
    fn no_more_have_a_turn_than_there_are() {
        let turns = Turns::new(2);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let _turn = turns.wait();
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(1));
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 2);
    }

    #[test]
    fn a_panic_gives_the_turn_back() {
        let turns = Turns::new(1);
        let gone = catch_unwind(|| {
            let _turn = turns.wait();
            panic!("as planned");
        });
        assert!(gone.is_err());
        let _turn = turns.wait();
    }
}
