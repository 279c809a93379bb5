//! The pages on which a person allows an app to sign in. Plain HTML, no script.

use crate::accounts::Accounts;
use crate::oauth::Request;

/// The page of `/oauth/authorize`: who allows it, and which organizations. `wanted` are preselected.
pub fn authorize(accounts: &Accounts, id: &str, request: &Request, wanted: &[String]) -> String {
    let hidden = format!("<input type=hidden name=request value=\"{}\">", escape(id));
    decision_form(accounts, "/oauth/authorize/decision", &hidden, &request.client, &request.scopes, wanted)
}

/// The page of `/oauth/device`: asks for the code, then for the decision.
pub fn device(accounts: &Accounts, code: &str, request: Option<&(String, Vec<String>)>) -> String {
    let Some((client, scopes)) = request else {
        let said =
            if code.is_empty() { "" } else { "<p role=alert>There is no such code, or it has expired.</p>" };
        return page(&format!(
            "<h1>Sign in on a device</h1>{said}<form action=/oauth/device><label>Code it shows \
             <input name=user_code value=\"{}\" autofocus></label> <button>Go on</button></form>",
            escape(code)
        ));
    };
    let hidden = format!("<input type=hidden name=user_code value=\"{}\">", escape(code));
    decision_form(accounts, "/oauth/device/decision", &hidden, client, scopes, &[])
}

/// After a decision about a device.
pub fn done() -> String {
    page("<h1>Done</h1><p>You can close this page and go back to the device.</p>")
}

/// When nothing can be decided.
pub fn failed(why: &str) -> String {
    page(&format!("<h1>This can't be done</h1><p role=alert>{}</p>", escape(why)))
}

fn decision_form(
    accounts: &Accounts,
    action: &str,
    hidden: &str,
    client: &str,
    scopes: &[String],
    wanted: &[String],
) -> String {
    let users: String =
        accounts.users().iter().map(|user| format!("<option>{}</option>", escape(user))).collect();
    let mut orgs: Vec<String> =
        accounts.users().iter().flat_map(|user| accounts.orgs_of(user)).map(|(name, _)| name).collect();
    orgs.sort_unstable();
    orgs.dedup();
    let boxes: String = orgs.iter().map(|org| checkbox(org, wanted)).collect();
    let scopes: String = scopes.iter().map(|scope| format!("<li>{}</li>", escape(scope))).collect();
    page(&format!(
        "<h1>Allow {} to sign in?</h1><p>It asks for:</p><ul>{scopes}</ul>\
         <form method=post action={action}>{hidden}<p><label>As <select name=user>{users}</select></label></p>\
         <fieldset><legend>Organizations it may reach</legend>{boxes}</fieldset>\
         <p><button name=decision value=allow>Allow</button> <button name=decision value=deny>Deny</button></p></form>",
        escape(client)
    ))
}

fn checkbox(org: &str, wanted: &[String]) -> String {
    let checked =
        if wanted.iter().any(|one| one == org || *one == format!("org-{org}")) { " checked" } else { "" };
    let org = escape(org);
    format!("<label><input type=checkbox name=org value=\"{org}\"{checked}> {org}</label><br>")
}

fn page(body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>local-hub</title><body><main>{body}</main></html>"
    )
}

/// Text as HTML, also inside a quoted attribute.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
