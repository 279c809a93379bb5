//! Who is signed in.

use serde::Deserialize;

use crate::error::HubError;
use crate::http::Call;
use crate::hub::Hub;

/// The answer of `whoami-v2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub full_name: Option<String>,
    pub email: Option<String>,
    pub is_pro: bool,
    pub organizations: Vec<Organization>,
    /// `read`, `write` or `fineGrained`; absent for a sign-in in the browser (OAuth).
    pub token_role: Option<String>,
    pub token_name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    pub name: String,
    pub full_name: Option<String>,
    pub role: Option<String>,
}

impl Hub {
    /// Who the token belongs to. `SignIn` when there is none or it isn't accepted. Rate-limited harder
    /// than other calls: ask once and keep the answer.
    pub async fn whoami(&self) -> Result<Account, HubError> {
        let url = self.http.url("/api/whoami-v2")?;
        let answer = self.http.send(Call::get(url, "Asking the Hub who is signed in failed")).await?;
        Ok(answer.json::<WireAccount>()?.into())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAccount {
    name: String,
    fullname: Option<String>,
    email: Option<String>,
    #[serde(default)]
    is_pro: bool,
    #[serde(default)]
    orgs: Vec<WireOrganization>,
    auth: Option<WireAuth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOrganization {
    name: String,
    fullname: Option<String>,
    role_in_org: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAuth {
    access_token: Option<WireAccessToken>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAccessToken {
    display_name: Option<String>,
    role: Option<String>,
}

impl From<WireAccount> for Account {
    fn from(wire: WireAccount) -> Account {
        let token = wire.auth.and_then(|auth| auth.access_token);
        let (token_name, token_role) = token.map_or((None, None), |t| (t.display_name, t.role));
        let organization =
            |o: WireOrganization| Organization { name: o.name, full_name: o.fullname, role: o.role_in_org };
        Account {
            name: wire.name,
            full_name: wire.fullname,
            email: wire.email,
            is_pro: wire.is_pro,
            organizations: wire.orgs.into_iter().map(organization).collect(),
            token_role,
            token_name,
        }
    }
}
