//! All Identity header fields of a call, judged together (policy shaken): the call's own token, the
//! diversions that lead from it to the called, and what is said of the caller beside the number.

use super::plan::{Fields, of_diversion};
use super::token::Token;
use super::{PublicKey, Report, Verifier};
use crate::address::Address;
use crate::authority::ClaimConstraints;
use crate::error::{Code, Error, Result};
use crate::key::Credential;
use crate::outcome::{Response, Step};
use crate::party;
use crate::passport::{Claims, Ppt};
use crate::policy::Policy;
use crate::profile::{self, Profile};
use crate::trust::Budget;
use std::sync::Arc;

/// What of a SIP request says who calls whom. Where there is a SIP stack, its own parsers fill this in,
/// so that a script and the verdict cannot differ; [`Address`] reads texts for programs without one.
#[derive(Clone, Debug, Default)]
pub struct SipCall<'a> {
    /// Values of the Identity header fields (RFC 8224 §4), as they were received.
    pub identities: Vec<&'a str>,
    /// All values of P-Asserted-Identity (RFC 3325 §9.1), of one header field or several.
    pub asserted: Vec<Address<'a>>,
    /// From.
    pub from: Address<'a>,
    /// To.
    pub to: Address<'a>,
    /// The Request-URI.
    pub request_uri: Address<'a>,
    /// Call-ID: empty where the message has none, `None` where there is no message. Without one a
    /// token that comes twice is not noticed.
    pub call_id: Option<&'a str>,
    /// Resource-Priority (RFC 4412), each of which may hold several values.
    pub resource_priority: Vec<&'a str>,
    /// Priority.
    pub priority: Option<&'a str>,
}

impl Verifier {
    /// What the settings make of a check.
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// Judges a call by all of its Identity header fields: one shaken PASSporT that is valid, from
    /// the caller and for the called, is enough. Under policy compat this is [`Verifier::check`].
    pub fn check_call(&self, call: &SipCall<'_>, key: PublicKey<'_>) -> Report {
        if self.policy == Policy::Compat {
            return self.check(call.identities.iter().copied(), key, Default::default());
        }
        let budget = Budget::default();
        let report = self.check_within(call, key, &budget);
        Report { cost: budget.spent(), ..report }
    }

    fn check_within(&self, call: &SipCall<'_>, key: PublicKey<'_>, budget: &Budget) -> Report {
        let Fields { tokens, unread, beside } = self.read_all(call);
        let mut failed: Vec<Report> = Vec::new();
        let mut plans = self.plan(&tokens, call, key).into_iter();
        while let Some((token, links)) = plans.next() {
            // A diversion that can't be read leads nowhere, wherever the call went.
            if links.is_ok()
                && let Some(diversion) = self.unread_diversion(token, &unread)
            {
                return diversion.clone().with(failed).with(unread).with(beside);
            }
            let mut report = token.report();
            match links
                .and_then(|links| self.judge_call(token, &links, call, key, &mut report, budget))
            {
                Ok(()) => {
                    self.enrich(&mut report, &tokens, call, key, budget);
                    // Those behind it are worth no certificate any more.
                    let behind =
                        plans.filter_map(|(token, links)| Some(token.failed(links.err()?)));
                    return report.with(failed).with(behind).with(unread).with(beside);
                }
                Err(error) => failed.push(Report { result: Err(error), ..report }),
            }
        }
        let first = told_first(&failed, &unread);
        failed.extend(unread);
        if first < failed.len() {
            return failed.remove(first).with(failed).with(beside);
        }
        let (code, why) = match call.identities.is_empty() {
            true => (Code::IdentityEmpty, "the message has no Identity header"),
            false => {
                (Code::IdentityPpt, "the message has no Identity header with a shaken PASSporT")
            }
        };
        Report::failed(Error::new(code, why)).with(beside)
    }

    /// A call's own token, and the diversions that lead from it to the callee.
    fn judge_call(
        &self,
        token: &Token<'_>,
        links: &[&Token<'_>],
        call: &SipCall<'_>,
        key: PublicKey<'_>,
        report: &mut Report,
        budget: &Budget,
    ) -> Result<()> {
        report.credential = Some(self.judge_token(token, key, budget)?);
        for link in links {
            self.judge_token(link, key, budget).map_err(|e| of_diversion(link, &e))?;
            report.div.extend(link.claims.div.clone());
        }
        self.check_replay(links.last().copied().unwrap_or(token), call)
    }

    /// Whose a token is, and whether it is genuine.
    fn judge_token(
        &self,
        token: &Token<'_>,
        key: PublicKey<'_>,
        budget: &Budget,
    ) -> Result<Arc<Credential>> {
        let credential = self.credential(key, &token.x5u, self.clock.now(), budget)?;
        if self.shaken.profile == Profile::Warn {
            credential.warn_of_findings(credential.facts(&self.shaken.policies)?, &token.x5u);
        }
        self.check_authority(&credential, &token.claims)?;
        self.verify(&credential, token.identity.signed, &token.signature, budget)?;
        self.proven(key, &token.x5u);
        Ok(credential)
    }

    /// How old a token is, and for how many parties.
    pub(super) fn check_claims(&self, claims: &Claims, now: i64, expire: i64) -> Result<()> {
        self.check_time(claims, now, expire)?;
        let (count, most) = (claims.dest.len(), self.shaken.max_dest);
        if count > most {
            let why = format!("dest holds {count} parties: more than {most} (max_dest)");
            return Err(Error::new(Code::PayloadParse, why));
        }
        Ok(())
    }

    /// How old a token is; it may say itself from when to when it counts, too (RFC 7519 §4.1.4,
    /// §4.1.5).
    fn check_time(&self, claims: &Claims, now: i64, expire: i64) -> Result<()> {
        self.check_freshness(claims.iat, now, expire)?;
        let seconds = |name: &str| match claims.all.get(name) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                None => Err(Error::new(
                    Code::PayloadParse,
                    format!("{name} is {value}, not a number of seconds (RFC 7519 §2)"),
                )),
                number => Ok(number),
            },
        };
        let wrong = |why: String| Err(Error::new(Code::PayloadIat, why));
        let now = now as f64;
        if let Some(exp) = seconds("exp")?.filter(|exp| *exp <= now) {
            return wrong(format!("exp {exp} is over"));
        }
        if let Some(nbf) = seconds("nbf")?.filter(|nbf| *nbf > now + self.clock_skew as f64) {
            return wrong(format!("nbf {nbf} is still to come"));
        }
        Ok(())
    }

    /// Whether the certificate is one for calls, and for this one.
    fn check_authority(&self, credential: &Credential, claims: &Claims) -> Result<()> {
        let facts = credential.facts(&self.shaken.policies)?;
        facts.usage.clone()?;
        let list = facts.list.as_ref().map_err(Error::clone)?;
        if self.shaken.profile == Profile::Enforce
            && let Some(first) = facts.findings.first()
        {
            return Err(Error::new(
                Code::CertProfile,
                format!("the certificate breaks ATIS-1000080 (cert_profile): {first}"),
            ));
        }
        if self.shaken.spc_match
            && let Some(certificate) = credential.chain.as_ref().map(|chain| chain.leaf())
        {
            let spc = list.spcs.first().map(String::as_str);
            profile::common_name(certificate, spc)
                .map_err(|why| Error::new(Code::CertAuthority, format!("spc_match: {why}")))?;
        }
        // Who diverts a call speaks for the number that it went to (RFC 8946 §3).
        let own = claims.div.as_ref().unwrap_or(&claims.orig);
        if self.shaken.tn_authlist_match && list.is_of_numbers() && !list.covers(own) {
            return Err(Error::new(
                Code::CertAuthority,
                format!("the certificate's TNAuthList does not hold {own}"),
            ));
        }
        facts
            .constraints
            .iter()
            .try_for_each(|constraints: &ClaimConstraints| constraints.check(&claims.all))
    }

    /// Adds what further tokens say of the caller. One that does not verify, or is of another call, is
    /// passed over: the call is who it says it is without it.
    fn enrich(
        &self,
        report: &mut Report,
        tokens: &[Token<'_>],
        call: &SipCall<'_>,
        key: PublicKey<'_>,
        budget: &Budget,
    ) {
        let now = self.clock.now();
        let mut failed = Vec::new();
        let Some(claims) = &report.claims else { return };
        report.rcd.clone_from(&claims.rcd);
        // Of a diverted call they are for whom its own token is for.
        let diverted = !report.div.is_empty();
        let is_for = |token: &&Token<'_>| match diverted {
            true => {
                let among = |dest: &String| claims.dest.iter().any(|own| party::same(own, dest));
                token.claims.dest.iter().all(among)
            }
            false => self.check_called(&token.claims, call, self.shaken.dest_source).is_ok(),
        };
        let others = tokens.iter().filter(|token| token.tells_more_of(&claims.orig));
        for token in others.filter(is_for) {
            let in_order = self.check_alone(token, key, now, self.expire);
            match in_order.and_then(|()| self.judge_token(token, key, budget)) {
                Err(error) => {
                    log::info!("{} PASSporT not verified: {error}", token.ppt.name());
                    failed.push(token.failed(error));
                }
                Ok(_) => {
                    if report.rcd.is_none() {
                        report.rcd.clone_from(&token.claims.rcd);
                    }
                    let (rph, sph) = priorities(&token.claims, call);
                    if report.rph.is_empty() {
                        report.rph = rph.unwrap_or_default();
                    }
                    report.sph = report.sph.take().or(sph);
                }
            }
        }
        failed.into_iter().for_each(|other| report.add(other));
    }
}

/// Which failure is that of the call, by its place among all: of a token that was judged, which says
/// more than one that could not be read, and not that a certificate can't be had where another one can
/// (RFC 8224 §6.2.2); but where the call went another way, a diversion that can't be read is why.
fn told_first(failed: &[Report], unread: &[Report]) -> usize {
    let had = |report: &Report| report.response() != Some(Response::BadIdentityInfo);
    let first = failed.iter().position(had).unwrap_or_default();
    let diverted = |report: &Report| matches!(report.step(), Some(Step::Dest | Step::Div));
    match unread.iter().position(|report| report.ppt == Ppt::Div.name()) {
        Some(at) if failed.get(first).is_some_and(diverted) => failed.len() + at,
        _ => first,
    }
}

/// What an rph PASSporT allows of the call's Resource-Priority, all values or none (RFC 8443 §4.2), and
/// of its Priority (RFC 9027 §4).
fn priorities(claims: &Claims, call: &SipCall<'_>) -> (Option<Vec<String>>, Option<String>) {
    let values = call.resource_priority.iter().flat_map(|field| field.split(','));
    let values: Vec<&str> = values.map(str::trim).filter(|value| !value.is_empty()).collect();
    let allowed = |value: &&str| claims.rph.iter().any(|own| own.eq_ignore_ascii_case(value));
    let rph = values.iter().all(allowed).then(|| values.iter().map(|&v| v.to_owned()).collect());
    let priority = call.priority.map(str::trim);
    let sph =
        claims.sph.as_ref().filter(|own| priority.is_some_and(|p| own.eq_ignore_ascii_case(p)));
    (rph, sph.cloned())
}

impl Verifier {
    /// The div tokens that lead on from a call's own, in their order (RFC 8946 §4.2): each names as
    /// `div` where the one before it went to. They may stand in the message in any order.
    ///
    /// # Errors
    /// [`Code::DivChain`] for one that leads nowhere, back, or two ways.
    pub(super) fn chain<'t, 'a>(
        &self,
        token: &Token<'a>,
        diverted: &[&'t Token<'a>],
    ) -> Result<Vec<&'t Token<'a>>> {
        let wrong = |why: String| Err(Error::new(Code::DivChain, why));
        let of_call = |div: &&&Token<'_>| party::same(&div.claims.orig, &token.claims.orig);
        let mut left: Vec<&Token<'_>> = diverted.iter().filter(of_call).copied().collect();
        let mut links: Vec<&Token<'_>> = Vec::new();
        let mut dest = token.claims.dest.as_slice();
        let mut seen: Vec<&str> = dest.iter().map(String::as_str).collect();
        while !left.is_empty() {
            let leads = |link: &&Token<'_>| {
                let div = link.claims.div.as_deref();
                div.is_some_and(|div| dest.iter().any(|d| party::same(d, div)))
            };
            let Some(at) = left.iter().position(leads) else {
                let lost =
                    left.first().and_then(|link| link.claims.div.as_deref()).unwrap_or_default();
                return wrong(format!(
                    "a div PASSporT diverts from {lost}, where this call never went ({})",
                    seen.join(", ")
                ));
            };
            let link = left.swap_remove(at);
            if left.iter().any(leads) {
                return wrong(format!("two div PASSporTs divert from {}", dest.join(", ")));
            }
            if let Some(again) = link.claims.dest.iter().find(|d| seen.contains(&d.as_str())) {
                return wrong(format!("a div PASSporT leads back to {again}"));
            }
            dest = &link.claims.dest;
            seen.extend(dest.iter().map(String::as_str));
            links.push(link);
        }
        Ok(links)
    }
}
