//! What only a person can decide, decided over the HTTP API as the pages do it: conflicts, a discarded change, many
//! deletions at once, and undo.

use std::sync::Arc;
use std::time::Instant;

use engine::app::App;
use engine::app::api::buckets::Bucket;
use engine::app::http::HttpAddress;
use serde_json::{Value, json};
use testkit::{Fault, Harm};

use crate::bench::{Desk, LONG, all_saved};
use crate::http::{api, call};

/// A desk with a mounted bucket that holds `a.txt`, and the way to the app.
struct Room {
    desk: Desk,
    app: Arc<App>,
    bucket: String,
    mounted: Bucket,
    http: HttpAddress,
}

impl Room {
    async fn new() -> Room {
        let desk = Desk::new(&[]);
        let (app, bucket) = desk.with_alice().await;
        desk.hub.client().put(&bucket, "a.txt", b"before");
        let mounted = desk.mount(&app, &bucket).await;
        let http = api(&app, None).await;
        Room { desk, app, bucket, mounted, http }
    }

    async fn call(&self, name: &str, args: Value) -> Value {
        call(&self.http, name, args).await
    }

    /// The snapshot, as soon as `is` says yes to it.
    async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + LONG;
        loop {
            self.app.look_now().await;
            let state = self.call("snapshot", json!({})).await;
            if is(&state) {
                return state;
            }
            assert!(Instant::now() < end, "never so: {what}; last: {state:#}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// `a.txt` changed here and elsewhere; the conflict, as it is shown.
    async fn conflict(&self) -> Value {
        assert_eq!(self.desk.kernel.read(&self.mounted, "a.txt").await.unwrap(), b"before");
        self.call("pause", json!({"minutes": null})).await;
        self.desk.kernel.put(&self.mounted, "a.txt", b"mine!!").await;
        self.desk.hub.client().put(&self.bucket, "a.txt", b"theirs");
        self.call("resume", json!({})).await;
        let state = self.until("a conflict", |state| state["conflicts"][0]["mine"].is_object()).await;
        let row = activity(&state, "conflict").unwrap();
        assert!(row["what"].as_str().unwrap().starts_with("a.txt was changed here and elsewhere"), "{row}");
        assert_eq!((&row["solved"], &row["actions"][0]), (&json!(false), &json!("resolve")));
        assert_eq!(state["status"]["need_you"], 1);
        state["conflicts"][0].clone()
    }

    async fn resolve(&self, how: &str) {
        let conflict = self.conflict().await;
        self.call("resolve", json!({"bucket": self.bucket, "id": conflict["id"], "how": how})).await;
        let done = |state: &Value| {
            state["conflicts"] == json!([])
                && activity(state, "conflict").is_none_or(|row| row["solved"] == true)
        };
        self.until("no conflict any more", done).await;
        all_saved(&self.app).await;
    }

    fn paths(&self) -> Vec<String> {
        self.desk.hub.client().paths(&self.bucket)
    }

    /// Reads each path: only while nothing is being deleted there.
    fn on_the_hub(&self) -> Vec<(String, Vec<u8>)> {
        let hub = self.desk.hub.client();
        self.paths().into_iter().map(|path| (path.clone(), hub.read(&self.bucket, &path))).collect()
    }
}

fn activity<'a>(state: &'a Value, kind: &str) -> Option<&'a Value> {
    state["activity"].as_array()?.iter().find(|row| row["kind"] == kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_conflict_mine_theirs_or_both_are_kept_as_the_person_says() {
    for (how, wanted) in [("keep_mine", &[&b"mine!!"[..]][..]), ("keep_theirs", &[b"theirs"])] {
        let room = Room::new().await;
        room.resolve(how).await;
        let there = room.on_the_hub();
        let contents: Vec<&[u8]> = there.iter().map(|(_, content)| content.as_slice()).collect();
        assert_eq!((there[0].0.as_str(), contents.as_slice()), ("a.txt", wanted), "{how}");
        assert_eq!(room.desk.kernel.read(&room.mounted, "a.txt").await.unwrap(), wanted[0], "{how}");
        room.app.end().await;
    }
    let room = Room::new().await;
    room.resolve("keep_both").await;
    let mut contents: Vec<Vec<u8>> = room.on_the_hub().into_iter().map(|(_, content)| content).collect();
    contents.sort();
    assert_eq!(contents, [b"mine!!", b"theirs"]);
    room.app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_change_is_given_up_after_a_second_question_and_the_hubs_version_is_back() {
    let room = Room::new().await;
    assert_eq!(room.desk.kernel.read(&room.mounted, "a.txt").await.unwrap(), b"before");
    room.desk.hub.faults().add(Fault::on("/batch", Harm::Status { status: 403, retry_after: None }));
    room.desk.kernel.put(&room.mounted, "a.txt", b"refused").await;
    let state = room.until("a failed upload", |state| state["status"]["failed"] == 1).await;
    let row = activity(&state, "upload_failed").unwrap();
    assert_eq!(row["actions"], json!(["retry", "show", "discard"]));
    let file = json!({"bucket": room.bucket, "path": "a.txt"});
    let asked = room.call("discard", file.clone()).await;
    assert_eq!(asked["outcome"], "question");
    assert!(asked["question"].as_str().unwrap().contains("“a.txt”"), "{asked}");
    room.until("nothing is given up by a question", |state| state["status"]["failed"] == 1).await;
    let with = |consent: &Value| json!({"bucket": room.bucket, "path": "a.txt", "consent": consent});
    assert_eq!(room.call("discard", with(&json!("guess"))).await["outcome"], "question");
    room.desk.hub.faults().clear();
    assert_eq!(room.call("discard", with(&asked["consent"])).await["outcome"], "done");
    room.until("all saved", |state| state["status"]["all_saved"] == true && state["status"]["failed"] == 0)
        .await;
    assert_eq!(room.desk.kernel.read(&room.mounted, "a.txt").await.unwrap(), b"before");
    assert_eq!(room.on_the_hub(), [("a.txt".to_owned(), b"before".to_vec())]);
    room.app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_and_overwritten_comes_back_on_demand() {
    let room = Room::new().await;
    room.desk.kernel.remove(&room.mounted, "a.txt").await;
    room.call("sync_now", json!({"bucket": room.bucket})).await;
    room.until("deleted on the Hub", |_| room.paths().is_empty()).await;
    let removed = room.call("recent_deletes", json!({"bucket": room.bucket})).await;
    assert_eq!(
        (&removed["rows"][0]["path"], &removed["rows"][0]["deleted"]),
        (&json!("a.txt"), &json!(true))
    );
    let back = room.call("restore", json!({"bucket": room.bucket, "path": "a.txt"})).await;
    assert_eq!(back["path"], "a.txt");
    room.until("it is there again", |_| !room.paths().is_empty()).await;
    assert_eq!(room.on_the_hub(), [("a.txt".to_owned(), b"before".to_vec())]);
    assert_eq!(room.desk.kernel.read(&room.mounted, "a.txt").await.unwrap(), b"before");
    room.app.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_deletions_wait_for_an_answer_and_both_answers_are_obeyed() {
    let room = Room::new().await;
    let names: Vec<String> = (0..40).map(|number| format!("file {number:02}.txt")).collect();
    let all: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"kept"[..])).collect();
    room.desk.hub.client().put_many(&room.bucket, all);
    for answer in ["restore", "send"] {
        for name in &names {
            // The kernel's own look shows what others put there.
            while room.desk.kernel.read(&room.mounted, name).await.is_none() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            room.desk.kernel.remove(&room.mounted, name).await;
        }
        let held = |state: &Value| state["held_deletes"][0]["count"] == 40;
        let state = room.until("they are held", held).await;
        let row = activity(&state, "deletes_held").unwrap();
        assert_eq!(row["what"], "40 files of the 41 files of alice/photos were deleted here.");
        assert_eq!((&state["status"]["need_you"], room.on_the_hub().len()), (&json!(40), 41));
        let args = json!({"bucket": room.bucket, "answer": answer});
        assert_eq!(room.call("answer_deletes", args).await["count"], 40, "{answer}");
        room.until("nothing is held", |state| state["held_deletes"] == json!([])).await;
        let left = if answer == "send" { 1 } else { 41 };
        room.call("sync_now", json!({"bucket": room.bucket})).await;
        room.until("the Hub has what was said", |_| room.paths().len() == left).await;
    }
    all_saved(&room.app).await;
    room.app.end().await;
}
