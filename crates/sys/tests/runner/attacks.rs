//! Jobs that want more than they are given.

use crate::Test;

pub(crate) const TESTS: &[Test] = &[];
