//! The way through the pages of one list: never the same page twice, and an end to it.
//!
//! The Hub names the next page itself. Each of ours costs a request, and memory for what it holds.

use std::collections::HashSet;

use url::Url;

use crate::config::Limits;
use crate::error::HubError;
use crate::http::{Answer, next_page};

pub(crate) struct Trail {
    asked: HashSet<Url>,
    pages_left: usize,
    bytes_left: u64,
    /// "Listing alice/photos failed": the beginning of the sentence a person reads.
    failure: String,
}

impl Trail {
    pub fn new(limits: &Limits, failure: String) -> Trail {
        Trail { asked: HashSet::new(), pages_left: limits.list_pages, bytes_left: limits.list_bytes, failure }
    }

    /// Before a page is asked for.
    pub fn leave(&mut self, for_page: &Url) -> Result<(), HubError> {
        if !self.asked.insert(for_page.clone()) {
            return Err(self.broken("the pages go round in a circle"));
        }
        self.pages_left = self.pages_left.checked_sub(1).ok_or_else(|| self.broken("the list has no end"))?;
        Ok(())
    }

    /// Where the page after `answer` is, if there is one.
    pub fn next(&mut self, answer: &Answer) -> Result<Option<Url>, HubError> {
        let bytes = answer.body.len() as u64;
        self.bytes_left =
            self.bytes_left.checked_sub(bytes).ok_or_else(|| self.broken("the list is too long"))?;
        Ok(next_page(&answer.headers))
    }

    fn broken(&self, why: &str) -> HubError {
        HubError::broken(format!("{}: {why}", self.failure))
    }
}
