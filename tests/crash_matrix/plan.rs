//! What the matrix is made of: scenarios, places, cells.
use std::fmt;

use crate::attempt::Order;

/// What happens while a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    /// One message.
    Text,
    /// Three messages of one contact, the first of which is being answered when the others come.
    Burst,
    /// Twilio fails twice and refuses once before it takes the answer.
    FailingSend,
    /// Twilio takes the answer and does not say so.
    AcceptedThenDropped,
    /// The run is cancelled while the model thinks.
    Cancelled,
    /// One message with a picture.
    Attachment,
    /// The owner calls somebody.
    Call,
    /// The owner writes to two people by one campaign.
    Campaign,
    /// Workflows of the engine alone that use all that it has.
    Everything,
}

impl Scenario {
    pub(crate) const ALL: [Self; 9] = [
        Self::Text,
        Self::Burst,
        Self::FailingSend,
        Self::AcceptedThenDropped,
        Self::Cancelled,
        Self::Attachment,
        Self::Call,
        Self::Campaign,
        Self::Everything,
    ];

    /// How many messages the contact writes.
    pub(crate) fn messages(self) -> u32 {
        match self {
            Self::Burst => 3,
            Self::Call | Self::Campaign => 0,
            _ => 1,
        }
    }

    /// How many things are to go out.
    pub(crate) fn goes_out(self) -> u32 {
        match self {
            Self::Call => 1,
            Self::Campaign => 2,
            answered => answered.messages(),
        }
    }

    /// How many runs there are at least, once all is done.
    pub(crate) fn runs(self) -> usize {
        match self {
            Self::Call => 1,
            // Its own, and one for each person.
            Self::Campaign => 3,
            answered => answered.messages() as usize,
        }
    }

    /// Whether a sample tries it out there: the newer ones on one database.
    pub(crate) fn is_sampled(self, place: Place) -> bool {
        match self {
            Self::Attachment | Self::Call | Self::Campaign => place == Place::Sqlite,
            _ => place != Place::RedisLost,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Burst => "burst",
            Self::FailingSend => "failing-send",
            Self::AcceptedThenDropped => "accepted-then-dropped",
            Self::Cancelled => "cancelled",
            Self::Attachment => "attachment",
            Self::Call => "call",
            Self::Campaign => "campaign",
            Self::Everything => "everything",
        }
    }
}

/// On which servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Sqlite,
    Postgres,
    /// Postgres, and a Redis that is lost at the moment at which the process dies.
    RedisLost,
}

impl Place {
    pub(crate) const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::RedisLost];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::RedisLost => "postgres+redis-lost",
        }
    }
}

/// What becomes of the process at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// kill -9.
    Dies,
    /// SIGSTOP until another process has done its work, then SIGCONT.
    Freezes,
}

impl Fate {
    pub(crate) const ALL: [Self; 2] = [Self::Dies, Self::Freezes];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dies => "dies",
            Self::Freezes => "freezes",
        }
    }
}

/// A part of the engine that the processes are made to do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    Reconciling,
    Epoch,
    Key,
}

impl Mutant {
    pub(crate) const ALL: [Self; 3] = [Self::Reconciling, Self::Epoch, Self::Key];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reconciling => "reconciling",
            Self::Epoch => "epoch",
            Self::Key => "key",
        }
    }

    /// The rows of the matrix that are to show that it is missing.
    pub(crate) fn concerns(self, row: Row) -> bool {
        let scenarios = match self {
            Self::Reconciling => [
                Scenario::Text,
                Scenario::AcceptedThenDropped,
                Scenario::Everything,
            ]
            .as_slice(),
            Self::Epoch => &[Scenario::Text, Scenario::Everything],
            Self::Key => &[Scenario::Text],
        };
        let fate = if self == Self::Epoch {
            Fate::Freezes
        } else {
            Fate::Dies
        };
        row.place != Place::RedisLost && row.fate == fate && scenarios.contains(&row.scenario)
    }

    /// A cell of each of those rows that must turn red.
    pub(crate) fn must_show(self, scenario: Scenario) -> &'static str {
        match (self, scenario) {
            (Self::Reconciling, Scenario::Everything) => "call send 1#1:after",
            (Self::Reconciling, _) => "call reply 1#1:after",
            (Self::Epoch, Scenario::Everything) => "call send 1#2:after",
            (Self::Epoch, _) => "call route_agent 1#1:after",
            (Self::Key, _) => "commit start inbound_message#1:after",
        }
    }

    /// Whether this is such a cell.
    pub(crate) fn is_named(self, row: Row, order: &Order) -> bool {
        matches!(order, Order::At(point) if point == self.must_show(row.scenario))
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) scenario: Scenario,
    pub(crate) place: Place,
    pub(crate) fate: Fate,
}

impl Row {
    /// All rows. Only where there are several processes can one freeze while another goes on.
    pub(crate) fn all() -> Vec<Self> {
        let mut rows = Vec::new();
        for scenario in Scenario::ALL {
            for place in Place::ALL {
                rows.push(Self {
                    scenario,
                    place,
                    fate: Fate::Dies,
                });
            }
        }
        for scenario in [Scenario::Text, Scenario::Everything] {
            let place = Place::Postgres;
            rows.push(Self {
                scenario,
                place,
                fate: Fate::Freezes,
            });
        }
        rows
    }

    /// Its first columns.
    pub(crate) fn names(self) -> String {
        let (scenario, place) = (self.scenario.name(), self.place.name());
        format!("{scenario} | {place} | {}", self.fate.name())
    }

    /// Whether a point is a cell of this row.
    ///
    /// Between its look at the lease and the first byte of the request a process may freeze for longer than others wait:
    /// that is the residual window, which nothing can close.
    pub(crate) fn has(self, point: &str) -> bool {
        let once = ["call reply ", "call send ", "call place_call "]
            .iter()
            .any(|call| point.starts_with(call));
        self.fate == Fate::Dies || !(once && point.ends_with(":before"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fate = match self.fate {
            Fate::Dies => "",
            Fate::Freezes => " frozen",
        };
        write!(f, "{}/{}{fate}", self.scenario.name(), self.place.name())
    }
}
