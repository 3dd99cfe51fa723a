//! Which CRLs count, without a certificate to judge: for those who fetch them.

use super::Trust;
use super::path::Search;
use crate::error::Result;

/// A CRL that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When it was made, in Unix seconds.
    pub this_update: i64,
    /// Until when it counts, in Unix seconds, if it says so.
    pub next_update: Option<i64>,
    /// Certificates on it.
    pub revoked: usize,
}

impl Trust {
    /// Checks each CRL: its dates at this time (Unix seconds), and its signature by an issuer that a
    /// trust anchor vouches for (RFC 5280 §6.3.3).
    ///
    /// # Errors
    /// What [`Trust::load`] says of files; [`Code::CrlFileRead`](crate::Code::CrlFileRead) for one
    /// that does not count.
    pub fn check_crls(&self, now: i64) -> Result<Vec<Standing>> {
        let Some(material) = self.material()? else { return Ok(Vec::new()) };
        let mut anchors = self.in_force(&self.anchors, &material.anchors, now)?;
        anchors.push(self.system_roots()?);
        let intermediates = self.in_force(&self.intermediates, &material.intermediates, now)?;
        let search = Search { anchors: &anchors, intermediates: &intermediates, now };
        material.crls.iter().map(|crl| crl.check(&search).map(|()| crl.standing())).collect()
    }
}
