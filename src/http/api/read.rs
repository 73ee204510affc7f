//! What is read.

use super::Reply;
use super::asked::Asked;
use super::problem::Problem;
use crate::http::HttpError;
use crate::http::page::Note;
use crate::http::visitor::At;
use crate::report;

pub(super) fn status(at: &mut At<'_>, _: &Asked) -> Result<Reply, HttpError> {
    Reply::of(&report::status(at.store, Ok(at.rules), at.now)?)
}

pub(super) fn queues(at: &mut At<'_>, _: &Asked) -> Result<Reply, HttpError> {
    Reply::of(&report::queues(at.store, at.rules, at.now)?)
}

pub(super) fn item(at: &mut At<'_>, asked: &Asked) -> Result<Reply, HttpError> {
    let page = report::item(at.store, Some(at.rules), asked.id(), at.now)?;
    Reply::of(&page.ok_or_else(|| Note::unknown_item(asked.id()))?)
}

pub(super) fn record(at: &mut At<'_>, asked: &Asked) -> Result<Reply, HttpError> {
    let page = report::record(at.store, asked.id())?;
    let unknown = || Problem::missing(format!("There is no record {}.", asked.id()));
    Reply::of(&page.ok_or_else(unknown)?)
}

pub(super) fn broken(at: &mut At<'_>, _: &Asked) -> Result<Reply, HttpError> {
    Reply::of(&report::broken(at.store)?)
}
