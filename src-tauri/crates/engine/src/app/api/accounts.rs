//! Who is signed in, and how signing in goes.

use serde::{Deserialize, Serialize};

use super::error::AppError;
use super::{AccountId, Ms};

/// How an account came to be signed in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// OAuth in the browser.
    Browser,
    /// OAuth with a code typed elsewhere.
    Device,
    /// An access token that was pasted.
    Token,
    /// The `hf` command line's: read from where it lives at each use, never copied.
    HfCli,
    /// `HF_TOKEN` of the app's environment.
    Environment,
}

/// How good its token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum AccountHealth {
    /// The Hub accepts it, or was not asked yet since the start.
    Good,
    /// The Hub does not accept it any more: sign in again.
    Ended,
    /// The keychain does not give it out now (locked, or refused).
    Locked,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Account {
    pub id: AccountId,
    /// The Hub's user name.
    pub name: String,
    pub full_name: Option<String>,
    pub organizations: Vec<String>,
    pub kind: AccountKind,
    pub health: AccountHealth,
    /// For people: "your keychain", "the file …/huggingface/token".
    pub kept_in: String,
    /// What nobody else is asked for is done as this account.
    pub is_default: bool,
}

/// A sign-in under way, or how the last one ended. One at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum SignIn {
    /// None was begun since the start, or its end was seen (`sign_in_cancel`).
    None,
    /// The person is to say yes in the browser.
    Browser {
        /// To open by hand if no browser came up. Holds no secret.
        url: String,
        /// A browser was started.
        opened: bool,
        until_ms: Ms,
    },
    /// The person is to type `user_code` at `url`.
    Device {
        user_code: String,
        url: String,
        /// The same with the code in it.
        url_with_code: String,
        opened: bool,
        until_ms: Ms,
        why: DeviceReason,
    },
    /// The token came; the Hub is asked whose it is.
    Checking,
    Done {
        account: AccountId,
    },
    Failed {
        error: AppError,
    },
}

/// Why a code is to be typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum DeviceReason {
    Asked,
    NoBrowser,
    /// The browser's way brought a sign-in that ends soon and cannot be renewed.
    NotRenewable,
}

/// The `hf` command line's sign-in on this machine, as an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct HfCliOffer {
    /// For people: "the file …".
    pub place: String,
    pub there: bool,
}

/// What signing out, quitting or removing would leave on this machine only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Unsent {
    pub files: u64,
    pub bytes: u64,
    pub buckets: Vec<UnsentBucket>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct UnsentBucket {
    pub bucket: String,
    pub files: u64,
    pub bytes: u64,
    /// It could not be asked (not served now): it may have something unsent.
    pub unknown: bool,
}
