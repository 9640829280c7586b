//! Which files a scan has used already, by node.

use crate::tree::NodeId;

/// Index in the set by node; kept from scan to scan to spare its allocation.
#[derive(Debug, Default)]
pub(crate) struct Used {
    /// Scan and index.
    by_node: Vec<(u32, u32)>,
    scan: u32,
}

impl Used {
    /// Starts a scan, numbered from 1.
    pub(crate) fn start(&mut self, scan: u32) {
        self.scan = scan;
    }

    /// Index of a file that is in the set.
    pub(crate) fn get(&self, node: NodeId) -> Option<usize> {
        match self.by_node.get(node.0 as usize) {
            Some(&(scan, index)) if scan == self.scan => Some(index as usize),
            _ => None,
        }
    }

    /// Gives a file an index.
    pub(crate) fn set(&mut self, node: NodeId, index: usize) {
        let at = node.0 as usize;
        if at >= self.by_node.len() {
            self.by_node.resize(at + at / 4 + 1, (0, 0));
        }
        self.by_node[at] = (
            self.scan,
            u32::try_from(index).expect("fewer files than nodes"),
        );
    }
}
