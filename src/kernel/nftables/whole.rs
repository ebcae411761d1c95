//! A table with all that is in it, made at once or not at all.

use super::chain::Base;
use super::statement::Rule;
use super::{Family, Nftables, request};
use crate::kernel::netlink::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST};
use crate::kernel::trace::{CallError, Trace};

/// A chain to be made, with its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChain {
    /// Its name.
    pub name: &'static str,
    /// When the kernel asks it.
    pub base: Base,
    /// In their order.
    pub rules: Vec<Rule>,
}

impl Nftables {
    /// Makes a table with chains and rules, in one batch: no packet meets half of them, and where one is refused, nothing is made. A table
    /// that is there has its chains and rules added to.
    ///
    /// # Errors
    /// As [`Self::add_table`], [`Self::add_chain`] and [`Self::add_rule`].
    pub fn add_whole(
        &mut self,
        trace: &mut Trace,
        family: Family,
        table: &str,
        chains: &[NewChain],
    ) -> Result<(), CallError> {
        let mut messages = vec![(request::new_table(family, table), NLM_F_CREATE)];
        for chain in chains {
            messages.push((request::new_chain(family, table, chain.name, Some(&chain.base)), NLM_F_CREATE));
            let rule = |rule: &Rule| request::new_rule(family, table, chain.name, rule);
            messages.extend(chain.rules.iter().map(|it| (rule(it), NLM_F_CREATE | NLM_F_APPEND)));
        }
        let told = messages.iter().map(|(message, _)| request::words(message));
        let args = told.map(|(name, words)| format!("{name}({})", words.join(", "))).collect();
        let last = messages.len() - 1;
        let asked = |at| if at == last { NLM_F_REQUEST | NLM_F_ACK } else { NLM_F_REQUEST };
        let mut batch = vec![(request::begin(), NLM_F_REQUEST)];
        batch.extend(messages.into_iter().enumerate().map(|(at, (message, flags))| (message, asked(at) | flags)));
        batch.push((request::end(), NLM_F_REQUEST));
        trace.call("sendto", args, || self.0.batch(batch).map(|()| 0)).map(drop)
    }

    /// The names of all tables of a family: one request, however many rules they have.
    ///
    /// # Errors
    /// As [`Self::ruleset`].
    pub fn table_names(&mut self, family: Family) -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        self.0.dump_whole(request::all_tables(), |body| {
            if let Some((Some(own), _, attributes)) = super::answer::message(body)
                && own == family
            {
                names.push(super::answer::table(own, attributes).name);
            }
        })?;
        Ok(names)
    }
}
