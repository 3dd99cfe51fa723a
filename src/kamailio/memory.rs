//! Memory that all processes share.

use super::bindings::ks_shared;
use crate::shared::Shared;
use std::sync::OnceLock;

static SHARED: OnceLock<Option<&'static Shared>> = OnceLock::new();

/// Takes it from Kamailio, before the fork; whether there was enough.
pub(super) fn take() -> bool {
    let taken = SHARED.get_or_init(|| {
        // SAFETY: Kamailio's shared memory is there from before modules are loaded, and is aligned for
        // any type. All zeros is a value of this one, which is nothing but atomics, and nobody frees it.
        unsafe { ks_shared(size_of::<Shared>()).cast::<Shared>().as_ref() }
    });
    taken.is_some()
}

/// What was taken; none before that.
pub(crate) fn shared() -> Option<&'static Shared> {
    SHARED.get().copied().flatten()
}
