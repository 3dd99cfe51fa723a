//! Numbers below 2^256: reading, comparing, adding.

use crate::sys::Words;

/// Reads a number of 32 bytes, the highest first.
pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Words {
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|i| u64::from_be_bytes(words[3 - i]))
}

pub(crate) fn is_zero(x: &Words) -> bool {
    *x == [0; 4]
}

pub(crate) fn is_less(x: &Words, y: &Words) -> bool {
    x.iter().rev().lt(y.iter().rev())
}

/// x + y, for a sum below 2^256.
pub(crate) fn sum(x: &Words, y: &Words) -> Words {
    let mut carry = false;
    std::array::from_fn(|i| {
        let (low, over) = x[i].overflowing_add(y[i]);
        let (low, again) = low.overflowing_add(carry.into());
        carry = over || again;
        low
    })
}

/// x − y, for a y that is not greater.
pub(crate) fn difference(x: &Words, y: &Words) -> Words {
    let mut borrow = false;
    std::array::from_fn(|i| {
        let (low, under) = x[i].overflowing_sub(y[i]);
        let (low, again) = low.overflowing_sub(borrow.into());
        borrow = under || again;
        low
    })
}
