//! What can be told of a call without a certificate. All header fields pass through it before any of
//! them costs a download or a signature: a stranger can write ten into one message.

use super::token::{Token, read, tells_more};
use super::{PublicKey, Report, SipCall, Verifier, distinct};
use crate::error::{Code, Error, Result};
use crate::party;
use crate::passport::Ppt;
use crate::policy::DestSource;

/// A call's own token, and the diversions that lead from it to the callee.
pub(super) type Plan<'t, 'a> = (&'t Token<'a>, Result<Vec<&'t Token<'a>>>);

/// The header fields that count.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) tokens: Vec<Token<'a>>,
    /// Those that could not be read.
    pub(super) unread: Vec<Report>,
    /// Of those, tokens that would only tell more of the caller.
    pub(super) beside: Vec<Report>,
}

impl Verifier {
    pub(super) fn read_all<'a>(&self, call: &SipCall<'a>) -> Fields<'a> {
        let mut fields = Fields::default();
        // Without any name it is a shaken token that lost it, unless there may be others.
        let without_ppt = if self.shaken.base_passport { Ppt::Base } else { Ppt::Shaken };
        for value in distinct(call.identities.iter().copied(), self.shaken.max_identity) {
            match read(value, without_ppt) {
                None => {}
                Some(Ok(token)) => fields.tokens.push(token),
                Some(Err(report)) if tells_more(&report.ppt) => {
                    log::info!("{} PASSporT not read: {:?}", report.ppt, report.result);
                    fields.beside.push(*report);
                }
                Some(Err(report)) => fields.unread.push(*report),
            }
        }
        fields
    }

    /// Which of them are worth a certificate, or why not.
    pub(super) fn plan<'t, 'a>(
        &self,
        tokens: &'t [Token<'a>],
        call: &SipCall<'_>,
        key: PublicKey<'_>,
    ) -> Vec<Plan<'t, 'a>> {
        let now = self.clock.now();
        let of = |ppt| tokens.iter().filter(move |token| token.ppt == ppt);
        let diverted: Vec<_> = of(Ppt::Div).collect();
        let own = of(Ppt::Shaken).chain(of(Ppt::Base));
        own.map(|token| (token, self.links(token, &diverted, call, key, now))).collect()
    }

    /// The diversions that lead from a call's own token to the callee, if the token is in time and
    /// of this call, and its URL and theirs are allowed.
    fn links<'t, 'a>(
        &self,
        token: &Token<'a>,
        diverted: &[&'t Token<'a>],
        call: &SipCall<'_>,
        key: PublicKey<'_>,
        now: i64,
    ) -> Result<Vec<&'t Token<'a>>> {
        let expire = if diverted.is_empty() { self.expire } else { self.div_expire() };
        self.check_alone(token, key, now, expire)?;
        self.check_caller(&token.claims, call)?;
        let links = self.chain(token, diverted)?;
        let Some((last, before)) = links.split_last() else {
            // Diversions of another call do not make this one's token any fresher.
            self.check_freshness(token.claims.iat, now, self.expire)?;
            self.check_called(&token.claims, call, self.shaken.dest_source)?;
            return Ok(links);
        };
        let check = |link: &Token<'_>, expire| {
            self.check_alone(link, key, now, expire).map_err(|e| of_diversion(link, &e))
        };
        before.iter().try_for_each(|link| check(link, self.div_expire()))?;
        check(last, self.expire)?;
        // RFC 8946 §4.2: the last one must be for where the call goes now.
        self.check_called(&last.claims, call, DestSource::Ruri).map_err(|e| {
            Error::new(Code::DivChain, format!("the last diversion: {}", e.message()))
        })?;
        Ok(links)
    }

    /// How old a diverted call's tokens may be, in seconds, all but that of the last diversion.
    fn div_expire(&self) -> i64 {
        self.expire.max(self.shaken.div_expire.into())
    }

    /// A token by itself: how old it is, for how many parties, and whether its certificate may be fetched.
    pub(super) fn check_alone(
        &self,
        token: &Token<'_>,
        key: PublicKey<'_>,
        now: i64,
        expire: i64,
    ) -> Result<()> {
        self.check_claims(&token.claims, now, expire)?;
        match key {
            PublicKey::Info => self.x5u.check(&token.x5u),
            PublicKey::Location(_) | PublicKey::Pem(_) => Ok(()),
        }
    }

    /// The first diversion of the token's call that could not be read.
    pub(super) fn unread_diversion<'r>(
        &self,
        token: &Token<'_>,
        unread: &'r [Report],
    ) -> Option<&'r Report> {
        unread.iter().find(|report| {
            report.ppt == Ppt::Div.name()
                && report
                    .claims
                    .as_ref()
                    .is_none_or(|claims| party::same(&claims.orig, &token.claims.orig))
        })
    }
}

/// An error, with the diversion that it is of.
pub(super) fn of_diversion(link: &Token<'_>, error: &Error) -> Error {
    let div = link.claims.div.as_deref().unwrap_or_default();
    Error::new(error.code(), format!("div PASSporT of {div}: {}", error.message()))
}
