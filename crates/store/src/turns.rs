//! One at a time: what many ask for at once, and one must do for all.
//!
//! When a server has just started, every job wants the same compiler hashed, or its executable
//! twin made. The first does it, the others wait and then find it done.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::Digest;
use crate::layout::Form;

/// What is done one at a time: something with the file of this form.
pub(crate) type Task = (Digest, Form);

#[derive(Default)]
pub(crate) struct Turns {
    taken: Mutex<HashSet<Task>>,
    freed: Condvar,
}

/// While it lives, others who want the same turn wait.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    task: Task,
}

impl Turns {
    /// Waits for its turn. Who waited looks anew whether anything is left to do.
    pub(crate) fn take(&self, task: Task) -> Turn<'_> {
        let mut taken = self.taken();
        while !taken.insert(task) {
            taken = self
                .freed
                .wait(taken)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(taken);
        Turn { turns: self, task }
    }

    fn taken(&self) -> MutexGuard<'_, HashSet<Task>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.taken().remove(&self.task);
        self.turns.freed.notify_all();
    }
}
