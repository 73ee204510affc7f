//! The console: who is let in, what she sees, what she may do.

use std::fs;

use crate::desk::Desk;
use crate::http::{Answer, Site, ask};
use crate::service::BOUND;

/// A browser that is signed in, by the session that it holds.
pub(crate) struct Browser<'s> {
    site: &'s Site,
    pub(crate) cookie: String,
}

impl<'s> Browser<'s> {
    /// Signs in by the link that is mailed.
    pub(crate) fn sign_in(site: &'s Site, email: &str) -> Self {
        let link = sign_in_link(site, email);
        site.get(&link).is(200, &["Sign in on this browser"]);
        let entered = site.post(&link, "next=%2F");
        entered.is(303, &[]);
        let cookie = entered.header("set-cookie").unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Self { site, cookie }
    }

    /// A browser that holds this session.
    pub(crate) fn with(site: &'s Site, cookie: String) -> Self {
        Self { site, cookie }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let origin = self.site.url();
        let own = [("Cookie", &*self.cookie), ("Origin", &*origin)];
        let headers = [&own, headers].concat();
        ask(&self.site.address, method, path, &headers, body)
    }

    /// Sends a form as the page does that carries it.
    pub(crate) fn post(&self, path: &str, form: &str) -> Answer {
        let csrf = self.csrf();
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        self.ask("POST", path, &kind, &format!("csrf={csrf}&{form}"))
    }

    pub(crate) fn csrf(&self) -> String {
        let page = self.get("/").body;
        let csrf = page.split("name=\"csrf\" content=\"").nth(1);
        let csrf = csrf.unwrap_or_else(|| panic!("not signed in: {page}"));
        csrf.split('"').next().unwrap().to_owned()
    }
}

/// The path of the link that is mailed to a reviewer who asks to sign in.
pub(crate) fn sign_in_link(site: &Site, email: &str) -> String {
    mailed_link(site, email, || {
        let asked = site.post("/sign-in", &format!("email={email}"));
        asked.is(200, &["Look into your mail"]);
    })
}

/// The path of the link that is mailed when she asks in whatever way.
pub(crate) fn mailed_link(site: &Site, email: &str, ask: impl FnOnce()) -> String {
    let mailed = || -> Vec<_> {
        let mails = fs::read_dir(site.desk.path("state/mail"));
        let mails = mails
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path());
        mails
            // A mail that is still being written has another name.
            .filter(|path| path.to_str().unwrap().contains("/sign-in"))
            .collect()
    };
    let before = mailed();
    ask();
    site.service
        .until("the mail", BOUND, || mailed().len() > before.len());
    let new = mailed().into_iter().find(|path| !before.contains(path));
    let mail = fs::read_to_string(new.unwrap()).unwrap();
    let mail = mail.replace("=\r\n", "").replace("=3D", "=");
    assert!(mail.contains(&format!("<{email}>")), "{mail}");
    let link = mail.split(&site.url()).nth(1).unwrap();
    link.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn who_is_not_signed_in_is_asked_to_and_goes_on_where_she_was() {
    let site = Site::with_a_story();
    for path in ["/", "/?a=b"] {
        let answer = site.get(path);
        answer.is(303, &[]);
        assert!(
            answer
                .header("location")
                .unwrap()
                .starts_with("/sign-in?next=%2F")
        );
    }
    site.get("/sign-in?next=%2Fhistory")
        .is(200, &["Mail me a link", "value=\"/history\""]);
    site.get("/sign-in?next=//evil.example")
        .leaves_out(&["evil"]);
    let browser = Browser::sign_in(&site, "ana@example.org");
    browser.get("/").is(200, &["Ana Example", "Sign out"]);
    browser.get("/sign-in").is(303, &[]);
}

#[test]
fn a_link_signs_in_once_and_only_by_its_button() {
    let site = Site::with_a_story();
    let link = sign_in_link(&site, "ana@example.org");
    for _ in 0..3 {
        site.get(&link).is(200, &["As ana@example.org"]);
        ask(&site.address, "HEAD", &link, &[], "").is(200, &[]);
    }
    assert_eq!(site.number("SELECT count(*) FROM sessions"), 0);
    let entered = site.post(&link, "next=%2F%2Fevil.example");
    assert_eq!(entered.is(303, &[]).header("location"), Some("/"));
    let cookie = entered.header("set-cookie").unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
    site.get(&link).is(403, &["does not hold"]);
    site.post(&link, "").is(403, &["does not hold"]);
    assert_eq!(site.number("SELECT count(*) FROM sessions"), 1);
    site.get("/sign-in/nothing").is(403, &["does not hold"]);
}

#[test]
fn nobody_learns_who_is_a_reviewer_and_nobody_is_flooded() {
    let site = Site::with_a_story();
    let mails = || fs::read_dir(site.desk.path("state/mail")).map_or(0, Iterator::count);
    let stranger = site.post("/sign-in", "email=someone@example.org");
    let reviewer = site.post("/sign-in", "email=Ana@Example.org");
    assert_eq!(stranger.body, reviewer.body);
    site.service.until("the mail", BOUND, || mails() == 1);
    for _ in 0..5 {
        site.post("/sign-in", "email=ana@example.org").is(200, &[]);
    }
    let told = "again and again";
    site.service
        .until("the limit", BOUND, || site.service.log().contains(told));
    site.service.until("three mails", BOUND, || mails() == 3);
}

#[test]
fn a_session_ends_when_she_signs_out_or_the_rules_name_her_no_more() {
    let site = Site::with_a_story();
    let (ana, bo) = (
        Browser::sign_in(&site, "ana@example.org"),
        Browser::sign_in(&site, "bo@example.org"),
    );
    ana.ask("POST", "/sign-out", &[], "csrf=wrong")
        .is(403, &["Load the page again"]);
    ana.get("/").is(200, &[]);
    ana.post("/sign-out", "").is(200, &["Signed out"]);
    ana.get("/").is(303, &[]);
    bo.get("/").is(200, &["Bo Example"]);
    let only_ana = crate::http::REVIEWERS
        .lines()
        .take(2)
        .collect::<Vec<_>>()
        .join("\n");
    site.desk.rules("reviewers.yaml", &only_ana);
    site.service
        .until("the rules", BOUND, || bo.get("/").status == 303);
}

#[test]
fn a_page_that_is_open_outlives_a_restart_of_the_service() {
    let site = Site::with_a_story();
    let (cookie, csrf) = {
        let ana = Browser::sign_in(&site, "ana@example.org");
        (ana.cookie.clone(), ana.csrf())
    };
    let Site { desk, service, .. } = site;
    service.stop();
    fs::remove_file(desk.path("service.log")).unwrap();
    let site = Site::open(desk);
    let headers = [("Cookie", &*cookie), ("Origin", &*site.url())];
    let form = format!("csrf={csrf}");
    let left = ask(&site.address, "POST", "/sign-out", &headers, &form);
    left.is(200, &["This browser is signed out"]);
}

#[test]
fn a_form_of_another_page_does_nothing() {
    let site = Site::with_a_story();
    let ana = Browser::sign_in(&site, "ana@example.org");
    let form = format!("csrf={}", ana.csrf());
    let cookie = [("Cookie", &*ana.cookie)];
    for foreign in [
        ("Origin", "https://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Origin", "null"),
    ] {
        let headers = [&cookie[..], &[foreign]].concat();
        ask(&site.address, "POST", "/sign-out", &headers, &form).is(403, &["Not from here"]);
    }
    ana.get("/").is(200, &[]);
}

#[test]
fn a_proxy_is_believed_if_it_is_named() {
    let desk = || {
        let desk = Desk::new().with_rules("reviewers.yaml", crate::http::REVIEWERS);
        desk.story("a.md").published(false).write();
        desk
    };
    let header = [("Remote-Email", "Bo@example.org")];
    let site = Site::open(desk());
    ask(&site.address, "GET", "/", &header, "").is(303, &[]);
    let site = Site::open_as(
        desk(),
        &[("COPYDESK_TRUSTED_PROXIES", "127.0.0.1,10.0.0.1")],
    );
    ask(&site.address, "GET", "/", &header, "").is(200, &["Bo Example"]);
    let nobody = [("Remote-Email", "someone@example.org")];
    ask(&site.address, "GET", "/", &nobody, "").is(303, &[]);
    let site = Site::open_as(desk(), &[("COPYDESK_TRUSTED_PROXIES", "10.0.0.1")]);
    ask(&site.address, "GET", "/", &header, "").is(303, &[]);
}
