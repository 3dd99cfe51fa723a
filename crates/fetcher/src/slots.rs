//! Whose turn it is to be downloaded: bounded in all, by kind and by server.

use crate::service::Flight;
use crate::settings::limits::{
    MAX_HOST_QUEUE, MAX_QUEUE, SLOTS_HOST, SLOTS_KEPT, SLOTS_KNOWN, SLOTS_NEW,
};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use tokio::sync::oneshot;

/// Why a URL is downloaded. Each kind has slots of its own, so a flood of one holds up no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its certificate is in use, or the operator named it.
    Kept = 0,
    /// A certificate of its server verified a token.
    Known = 1,
    /// Nobody has heard of it.
    New = 2,
}

const SLOTS: [usize; 3] = [SLOTS_KEPT, SLOTS_KNOWN, SLOTS_NEW];

/// Hands out the slots.
#[derive(Default)]
pub(crate) struct Slots(RefCell<Inner>);

#[derive(Default)]
struct Inner {
    busy: [usize; 3],
    queues: [VecDeque<Job>; 3],
    /// By server and kind; those with neither are not in it.
    hosts: HashMap<(Rc<str>, usize), Load>,
}

#[derive(Default)]
struct Load {
    busy: usize,
    queued: usize,
}

struct Job {
    host: Rc<str>,
    flight: Rc<Flight>,
    go: oneshot::Sender<Permit>,
}

/// A slot, until it is dropped.
pub(crate) struct Permit {
    slots: Rc<Slots>,
    kind: Kind,
    host: Rc<str>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = self.slots.0.borrow_mut();
        if let Some(busy) = inner.busy.get_mut(self.kind as usize) {
            *busy -= 1;
        }
        inner.load(&self.host, self.kind as usize, |load| load.busy -= 1);
        drop(inner);
        self.slots.pump(self.kind);
    }
}

impl Slots {
    /// A slot, or a place in the queue; what comes of that is a slot, or nothing if nobody wants it
    /// any more, or younger ones need the place. `None` if the queue of [`Kind::Kept`] is full.
    pub(crate) fn queue(
        self: &Rc<Self>,
        kind: Kind,
        host: &Rc<str>,
        flight: &Rc<Flight>,
    ) -> Option<oneshot::Receiver<Permit>> {
        let (go, turn) = oneshot::channel();
        let index = kind as usize;
        let mut inner = self.0.borrow_mut();
        let load = inner.hosts.entry((Rc::clone(host), index)).or_default();
        let (busy, queued) = (load.busy, load.queued);
        // Those in the queue found no slot when they came, so the newcomer takes it from none.
        let free = busy < SLOTS_HOST && inner.busy.get(index)? < SLOTS.get(index)?;
        if free {
            inner.load(host, index, |load| load.busy += 1);
            *inner.busy.get_mut(index)? += 1;
            drop(inner);
            // Its receiver is below.
            let _ = go.send(self.permit(kind, host));
            return Some(turn);
        }
        let queue = inner.queues.get_mut(index)?;
        // The oldest have the least chance left (see next()), and make room.
        let oldest = if queued >= MAX_HOST_QUEUE {
            queue.iter().position(|job| job.host == *host)
        } else {
            (queue.len() >= MAX_QUEUE).then_some(0)
        };
        let oldest = match (oldest, kind) {
            (Some(_), Kind::Kept) => {
                inner.load(host, index, |_| {});
                return None;
            }
            (Some(at), _) => queue.remove(at),
            (None, _) => None,
        };
        queue.push_back(Job { host: Rc::clone(host), flight: Rc::clone(flight), go });
        inner.load(host, index, |load| load.queued += 1);
        if let Some(oldest) = oldest {
            inner.load(&oldest.host, index, |load| load.queued -= 1);
        }
        Some(turn)
    }

    /// Puts one that is asked for again among the youngest: what several calls ask for is less
    /// likely to be invented.
    pub(crate) fn renew(&self, flight: &Rc<Flight>) {
        // Those of the operator keep their order.
        for queue in self.0.borrow_mut().queues.iter_mut().skip(Kind::Known as usize) {
            if let Some(at) = queue.iter().position(|job| Rc::ptr_eq(&job.flight, flight))
                && let Some(job) = queue.remove(at)
            {
                queue.push_back(job);
                return;
            }
        }
    }

    /// How many wait, and how many are under way.
    pub(crate) fn count(&self) -> (usize, usize) {
        let inner = self.0.borrow();
        (inner.queues.iter().map(VecDeque::len).sum(), inner.busy.iter().sum())
    }

    /// Whether another of this kind would find a slot.
    pub(crate) fn is_free(&self, kind: Kind) -> bool {
        let inner = self.0.borrow();
        inner.queues.get(kind as usize).is_some_and(|queue| queue.len() < MAX_QUEUE / 2)
    }

    /// The same, of this server.
    pub(crate) fn has_room(&self, kind: Kind, host: &Rc<str>) -> bool {
        let inner = self.0.borrow();
        let load = inner.hosts.get(&(Rc::clone(host), kind as usize));
        self.is_free(kind) && load.is_none_or(|load| load.queued < MAX_HOST_QUEUE)
    }

    fn pump(self: &Rc<Self>, kind: Kind) {
        loop {
            let Some(job) = self.0.borrow_mut().next(kind as usize) else { return };
            // Its receiver was there a moment ago, and there is no other thread.
            let _ = job.go.send(self.permit(kind, &job.host));
        }
    }

    fn permit(self: &Rc<Self>, kind: Kind, host: &Rc<str>) -> Permit {
        Permit { slots: Rc::clone(self), kind, host: Rc::clone(host) }
    }
}

impl Inner {
    fn load(&mut self, host: &Rc<str>, kind: usize, change: impl FnOnce(&mut Load)) {
        let key = (Rc::clone(host), kind);
        if let Some(load) = self.hosts.get_mut(&key) {
            change(load);
            if load.busy == 0 && load.queued == 0 {
                self.hosts.remove(&key);
            }
        }
    }

    /// The next that may start, counted as busy.
    fn next(&mut self, kind: usize) -> Option<Job> {
        let mut at = 0;
        while self.busy.get(kind)? < SLOTS.get(kind)? {
            let queue = self.queues.get(kind)?;
            // Under a flood the oldest have hardly any time left: beginning with the youngest some
            // succeed, the other way round none would. Those of the operator wait as they came.
            let index =
                if kind == Kind::Kept as usize { at } else { queue.len().checked_sub(at + 1)? };
            let job = queue.get(index)?;
            let wanted = job.flight.wanted() && !job.go.is_closed();
            let host = (Rc::clone(&job.host), kind);
            if wanted && self.hosts.get(&host).is_some_and(|load| load.busy >= SLOTS_HOST) {
                at += 1;
                continue;
            }
            let job = self.queues.get_mut(kind)?.remove(index)?;
            self.load(&job.host, kind, |load| {
                // First up, then down: it must not be forgotten in between.
                load.busy += usize::from(wanted);
                load.queued -= 1;
            });
            if wanted {
                *self.busy.get_mut(kind)? += 1;
                return Some(job);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Wanted;
    use std::cell::Cell;

    fn flight(wanted: Wanted) -> Rc<Flight> {
        Rc::new(Flight { waiters: RefCell::default(), wanted: Cell::new(wanted) })
    }

    fn queue(slots: &Rc<Slots>, kind: Kind, host: &str) -> Option<oneshot::Receiver<Permit>> {
        slots.queue(kind, &host.into(), &flight(Wanted::Ahead))
    }

    #[test]
    fn one_server_takes_only_its_share() {
        let slots = Rc::new(Slots::default());
        let mut busy: Vec<_> = (0..MAX_HOST_QUEUE + SLOTS_HOST)
            .map(|_| queue(&slots, Kind::Kept, "slow").expect("room"))
            .collect();
        assert!(queue(&slots, Kind::Kept, "slow").is_none(), "its queue is full");
        assert_eq!(slots.count(), (MAX_HOST_QUEUE, SLOTS_HOST));
        let mut other = queue(&slots, Kind::Kept, "quick").expect("room");
        let permit = other.try_recv().expect("at once");
        drop(permit);
        // One is over: the next of its queue follows.
        drop(busy.remove(0).try_recv().expect("under way"));
        assert_eq!(slots.count(), (MAX_HOST_QUEUE - 1, SLOTS_HOST));
        for mut turn in busy {
            drop(turn.try_recv().expect("its turn"));
        }
        assert_eq!(slots.count(), (0, 0));
        assert!(slots.0.borrow().hosts.is_empty());
    }

    #[test]
    fn the_youngest_come_first_and_the_oldest_make_room() {
        let slots = Rc::new(Slots::default());
        let mut turns: Vec<_> = (0..SLOTS_HOST + 2 * MAX_HOST_QUEUE)
            .map(|_| queue(&slots, Kind::Known, "slow").expect("room"))
            .collect();
        assert_eq!(slots.count(), (MAX_HOST_QUEUE, SLOTS_HOST));
        drop(turns[0].try_recv().expect("under way"));
        assert!(turns.last_mut().expect("one").try_recv().is_ok(), "the youngest");
        let closed = |turn: &mut oneshot::Receiver<Permit>| {
            matches!(turn.try_recv(), Err(oneshot::error::TryRecvError::Closed))
        };
        assert!(closed(&mut turns[SLOTS_HOST]) && !closed(&mut turns[SLOTS_HOST + MAX_HOST_QUEUE]));
    }

    #[test]
    fn kinds_do_not_hold_up_each_other_and_the_unwanted_are_passed_over() {
        let slots = Rc::new(Slots::default());
        let flood: Vec<_> = (0..2 * MAX_QUEUE + SLOTS_NEW)
            .map(|n| queue(&slots, Kind::New, &n.to_string()))
            .collect();
        assert_eq!(slots.count(), (MAX_QUEUE, SLOTS_NEW));
        assert!(queue(&slots, Kind::New, "x").expect("room").try_recv().is_err());
        assert!(queue(&slots, Kind::Kept, "x").expect("room").try_recv().is_ok());
        let mut wanted = queue(&slots, Kind::New, "wanted").expect("room");
        let unwanted = slots.queue(Kind::New, &"y".into(), &flight(Wanted::ByCallers));
        drop(flood);
        assert!(wanted.try_recv().is_ok());
        assert!(unwanted.expect("room").try_recv().is_err());
        assert_eq!(slots.count(), (0, 0));
        assert!(slots.0.borrow().hosts.is_empty());
    }

    #[test]
    fn what_is_asked_for_again_is_young_again() {
        let slots = Rc::new(Slots::default());
        let mut busy: Vec<_> =
            (0..SLOTS_HOST).map(|_| queue(&slots, Kind::Known, "h").expect("room")).collect();
        let asked = flight(Wanted::Ahead);
        let mut turn = slots.queue(Kind::Known, &"h".into(), &asked).expect("room");
        let _younger: Vec<_> = (0..9).map(|_| queue(&slots, Kind::Known, "h")).collect();
        slots.renew(&asked);
        drop(busy[0].try_recv().expect("under way"));
        assert!(turn.try_recv().is_ok());
    }
}
