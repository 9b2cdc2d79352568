//! What the viewer looks at: plain state. [`super::update`] changes it, [`super::draw`] shows it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use tui_input::Input;

use super::listing::{Id, with_table};
use super::theme::Theme;
use crate::board::filter::Filter;
use crate::board::{Item, Picture};
use crate::columns::Tone;
use crate::model::TransferId;

/// What can be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// Transfers.
    #[default]
    Transfers,
    /// Files.
    Files,
    /// Peers, or sockets.
    Peers,
    /// Processes.
    Processes,
    /// Changes.
    Mutations,
    /// Distributions.
    Gap,
    /// Losses, rules, reasons.
    Findings,
}

impl View {
    /// In the order of their keys.
    pub const ALL: [Self; 7] = [
        Self::Transfers,
        Self::Files,
        Self::Peers,
        Self::Processes,
        Self::Mutations,
        Self::Gap,
        Self::Findings,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self, sockets: bool) -> &'static str {
        match self {
            Self::Transfers => "Transfers",
            Self::Files => "Files",
            Self::Peers if sockets => "Sockets",
            Self::Peers => "Peers",
            Self::Processes => "Processes",
            Self::Mutations => "Mutations",
            Self::Gap => "Gap",
            Self::Findings => "Findings",
        }
    }

    fn place(self) -> usize {
        Self::ALL.iter().position(|v| *v == self).unwrap_or(0)
    }

    /// The one so many further.
    #[must_use]
    pub fn further(self, by: usize) -> Self {
        let n = Self::ALL.len();
        Self::ALL.get((self.place() + by) % n).copied().unwrap_or_default()
    }
}

/// How one view is looked at.
#[derive(Clone, Debug, Default)]
pub struct Tab {
    /// Which rows.
    pub filter: Filter,
    /// By which column; `None`: as is natural.
    pub sort: Option<usize>,
    /// The other way round.
    pub inverted: bool,
    /// The selected row; `None`: the first, whichever it is.
    pub selected: Option<Id>,
    /// Where it stands.
    pub index: usize,
    /// The first row on the screen.
    pub top: usize,
    /// The selected column.
    pub column: usize,
}

/// Details of one transfer.
#[derive(Clone, Debug)]
pub struct Detail {
    /// Which.
    pub id: TransferId,
    /// As it was last known: it may be forgotten meanwhile.
    pub item: Option<Item>,
    /// Lines that are scrolled away.
    pub scroll: usize,
}

/// What is asked for at the bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// A filter.
    Filter,
    /// A file for the rows.
    Export,
    /// A file for a recording.
    Record,
}

/// A question and what has been typed.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What.
    pub question: Question,
    /// Typed so far.
    pub input: Input,
    /// What is wrong with it.
    pub error: Option<String>,
    /// The filter before.
    pub before: Filter,
}

/// What the last key did, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Words, harmless.
    pub text: String,
    /// How they are meant.
    pub tone: Tone,
}

/// What is fixed when the view begins.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// What is traced or read, harmless.
    pub source: String,
    /// It is a recording.
    pub is_replay: bool,
    /// Colours at first.
    pub theme: Theme,
    /// Nothing but ASCII.
    pub ascii: bool,
    /// The mouse is ours at first.
    pub mouse: bool,
}

/// All state.
#[derive(Debug)]
pub struct Ui {
    /// What is fixed.
    pub setup: Setup,
    /// What is shown.
    pub picture: Arc<Picture>,
    /// The newest there is; another one while the picture is stopped.
    newest: Arc<Picture>,
    /// The picture is stopped.
    pub paused: bool,
    /// The view.
    pub view: View,
    /// Sockets instead of peers.
    pub sockets: bool,
    /// Exposures instead of gaps.
    pub exposures: bool,
    tabs: BTreeMap<View, Tab>,
    /// Where one came from.
    pub trail: Vec<(View, Tab)>,
    /// Details.
    pub detail: Option<Detail>,
    /// A question.
    pub prompt: Option<Prompt>,
    /// Help, and how far it is scrolled.
    pub help: Option<usize>,
    /// What the last key did.
    pub status: Option<Status>,
    /// Colours.
    pub theme: Theme,
    /// The mouse is ours.
    pub mouse: bool,
    /// Columns and lines of the screen.
    pub size: (u16, u16),
    /// Rows that pass, in order.
    pub order: Vec<usize>,
    /// Our own share of a CPU, 0 to 1 for each.
    pub cpu: Option<f64>,
    /// The next or the one before was asked for: what it is shall be selected.
    pub jumped: bool,
}

impl Ui {
    /// At the beginning.
    #[must_use]
    pub fn new(setup: Setup, size: (u16, u16)) -> Self {
        let picture = Arc::new(Picture::empty());
        Self {
            theme: setup.theme,
            mouse: setup.mouse,
            setup,
            newest: Arc::clone(&picture),
            picture,
            paused: false,
            view: View::default(),
            sockets: false,
            exposures: false,
            tabs: BTreeMap::new(),
            trail: Vec::new(),
            detail: None,
            prompt: None,
            help: None,
            status: None,
            size,
            order: Vec::new(),
            cpu: None,
            jumped: false,
        }
    }

    /// A newer picture has come.
    pub fn show(&mut self, picture: Arc<Picture>) {
        self.land(&picture);
        if let Some(said) = picture.said.as_ref().filter(|said| self.newest.said.as_ref() != Some(said)) {
            let (tone, text) = match said {
                Ok(text) => (Tone::Good, text),
                Err(text) => (Tone::Bad, text),
            };
            self.status = Some(Status { text: text.clone(), tone });
        }
        self.newest = picture;
        if !self.paused {
            self.picture = Arc::clone(&self.newest);
            self.refresh();
        }
    }

    /// What a recording stands at is selected.
    fn land(&mut self, picture: &Picture) {
        let before = self.picture.cursor.as_ref().and_then(|c| c.landmark);
        let Some(cursor) = picture.cursor.as_ref().filter(|c| !c.seeking && c.speed.is_none()) else {
            return;
        };
        if let Some(id) = cursor.landmark.filter(|id| Some(*id) != before && self.jumped) {
            self.jumped = false;
            self.tabs.entry(View::Transfers).or_default().selected = Some(Id::Transfer(id));
        }
    }

    /// Stops or goes on.
    pub fn pause(&mut self) {
        self.paused = !self.paused;
        let newest = Arc::clone(&self.newest);
        self.show(newest);
    }

    /// How the present view is looked at.
    #[must_use]
    pub fn tab(&self) -> &Tab {
        static FRESH: LazyLock<Tab> = LazyLock::new(Tab::default);
        self.tabs.get(&self.view).unwrap_or(&FRESH)
    }

    /// The same, to be changed; [`Self::refresh`] afterwards.
    pub fn tab_mut(&mut self) -> &mut Tab {
        self.tabs.entry(self.view).or_default()
    }

    /// Looks at another view.
    pub fn turn(&mut self, view: View) {
        self.view = view;
        self.detail = None;
        self.refresh();
    }

    /// Looks at the rows with that filter, and remembers where one came from.
    pub fn follow(&mut self, view: View, filter: Filter) {
        self.trail.push((self.view, self.tab().clone()));
        let tab = Tab { filter, sort: self.tabs.get(&view).and_then(|t| t.sort), ..Tab::default() };
        self.tabs.insert(view, tab);
        self.turn(view);
    }

    /// Back to where one came from; whether there is such a place.
    pub fn back(&mut self) -> bool {
        let Some((view, tab)) = self.trail.pop() else {
            return false;
        };
        if view != self.view {
            self.tab_mut().filter = Filter::default();
        }
        self.tabs.insert(view, tab);
        self.turn(view);
        true
    }

    /// Puts rows in order, and finds the selected one again.
    pub fn refresh(&mut self) {
        let tab = self.tab();
        let (order, index) = with_table(self.view, self.sockets, &self.picture, |table| {
            let order = table.order(&tab.filter, tab.sort, tab.inverted);
            let found = tab
                .selected
                .as_ref()
                .and_then(|id| order.iter().position(|row| table.id(*row).as_ref() == Some(id)));
            (order, found)
        });
        self.order = order;
        let last = self.order.len().saturating_sub(1);
        let tab = self.tab_mut();
        tab.index = match (&tab.selected, index) {
            (None, _) => 0,
            (_, Some(found)) => found,
            // It is gone: its neighbour.
            (_, None) => tab.index,
        }
        .min(last);
        self.scroll();
        if let Some(detail) = &mut self.detail
            && let Some(item) = self.picture.item(detail.id)
        {
            detail.item = Some(item.clone());
        }
    }

    /// Selects the row that stands there.
    pub fn select(&mut self, index: usize) {
        let index = index.min(self.order.len().saturating_sub(1));
        let row = self.order.get(index).copied();
        let id = with_table(self.view, self.sockets, &self.picture, |t| row.and_then(|row| t.id(row)));
        let tab = self.tab_mut();
        (tab.index, tab.selected) = (index, id);
        self.scroll();
    }

    /// The row that is selected: its place in the table.
    #[must_use]
    pub fn row(&self) -> Option<usize> {
        self.order.get(self.tab().index).copied()
    }

    /// The transfer that is selected or looked at.
    #[must_use]
    pub fn transfer(&self) -> Option<Item> {
        if let Some(detail) = &self.detail {
            return detail.item.clone();
        }
        let row = self.row()?;
        match with_table(self.view, self.sockets, &self.picture, |t| t.id(row))? {
            Id::Transfer(id) => self.picture.item(id).cloned(),
            _ => None,
        }
    }

    /// Lines for rows.
    #[must_use]
    pub fn page(&self) -> usize {
        super::draw::rows_on(self).max(1)
    }

    fn scroll(&mut self) {
        let page = self.page();
        let count = self.order.len();
        let tab = self.tab_mut();
        tab.top = tab
            .top
            .min(tab.index)
            .max((tab.index + 1).saturating_sub(page))
            .min(count.saturating_sub(page.min(count)));
    }
}
