//! Objects through a session: created, copied, changed, read, found.

use super::Library;
use crate::audit::{Event, Note};
use crate::error::{Error, Result};
use crate::mechanism::import;
use crate::object::template::{Draft, Origin};
use crate::object::{AttributeType, Template, Value};
use crate::token::{Handle, policy};

impl Library {
    pub fn create_object(&self, session: u64, template: Template) -> Result<Handle> {
        let created = self.create_objects(session, vec![template])?;
        created.first().copied().ok_or(Error::GeneralError)
    }

    /// Several that belong together, such as a key pair and its certificates: all of them or none.
    pub fn create_objects(&self, session: u64, templates: Vec<Template>) -> Result<Vec<Handle>> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        let created = templates.into_iter().map(|template| {
            let draft = Draft::new(Origin::Created, None, None, template, policy::asker(login.as_ref()))?;
            let material = import::examine(draft.attributes())?;
            draft.complete(material)
        });
        session.insert(&login, created.collect::<Result<_>>()?, Note::of(Event::Create))
    }

    pub fn copy_object(&self, session: u64, object: Handle, template: Template) -> Result<Handle> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        let (object, note) = session.slot.token.copy(session.access(&login), object, template)?;
        session.insert_one(&login, object, note)
    }

    pub fn destroy_object(&self, session: u64, object: Handle) -> Result<()> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        session.slot.token.destroy(session.access(&login), object)
    }

    /// Bytes of its encoded form.
    pub fn object_size(&self, session: u64, object: Handle) -> Result<usize> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        Ok(session.slot.token.object(session.access(&login), object)?.object().encode().len())
    }

    /// One answer per asked type, in order.
    pub fn attributes(
        &self,
        session: u64,
        object: Handle,
        kinds: &[AttributeType],
    ) -> Result<Vec<Result<Value>>> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        session.slot.token.attributes(session.access(&login), object, kinds)
    }

    pub fn set_attributes(&self, session: u64, object: Handle, template: Template) -> Result<()> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        session.slot.token.modify(session.access(&login), object, template)
    }

    pub fn find_init(&self, session: u64, template: Template) -> Result<()> {
        let session = self.session(session)?;
        if session.state()?.search.is_some() {
            return Err(Error::OperationActive);
        }
        let login = session.slot.login.read().clone();
        let mut found = session.slot.token.find(session.access(&login), &template)?;
        found.reverse();
        session.state()?.search = Some(found);
        Ok(())
    }

    /// At most `most` further handles.
    pub fn find(&self, session: u64, most: usize) -> Result<Vec<Handle>> {
        let session = self.session(session)?;
        let mut state = session.state()?;
        let search = state.search.as_mut().ok_or(Error::OperationNotInitialized)?;
        let rest = search.len().saturating_sub(most);
        let mut next = search.split_off(rest);
        next.reverse();
        Ok(next)
    }

    pub fn find_final(&self, session: u64) -> Result<()> {
        let session = self.session(session)?;
        let mut state = session.state()?;
        state.search.take().map(drop).ok_or(Error::OperationNotInitialized)
    }
}
