//! The stores that share one listening connection, and all such connections of this process.
//!
//! It guarantees: stores that listen to one server as one role share a thread and a connection,
//! which belong to no runtime of the application and to no pool of it. Both end with the last of
//! these stores. A store is woken at most once in [`DAMPING`], and once after the last change; a
//! panic in one wake reaches no other store.

use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::observer::catch;
use crate::source::store::{Wake, Watch, WatchStatus};

/// The least time between two wakes: every user of the database may notify a channel, as often as
/// they like.
const DAMPING: Duration = Duration::from_millis(100);

/// Every listening connection of this process. Its lock is taken before that of a hub.
static HUBS: Mutex<Vec<Arc<Hub>>> = Mutex::new(Vec::new());

/// The way from a store's writes to its listening connection.
#[derive(Clone)]
pub(super) struct Route {
    /// Writes go through it. Its options are those of the listening connection as well, unless
    /// there is a direct one.
    pub(super) pool: PgPool,
    pub(super) direct: Option<Arc<PgConnectOptions>>,
}

/// A server and a login: two routes with the same ends share a connection.
#[derive(PartialEq)]
struct RouteEnds([RouteEnd; 2]);

#[derive(PartialEq)]
struct RouteEnd {
    host: String,
    port: u16,
    socket: Option<PathBuf>,
    role: String,
    database: Option<String>,
    tls: String,
    application: Option<String>,
    settings: Option<String>,
}

impl RouteEnd {
    fn from_options(options: &PgConnectOptions) -> Self {
        Self {
            host: options.get_host().to_owned(),
            port: options.get_port(),
            socket: options.get_socket().cloned(),
            role: options.get_username().to_owned(),
            database: options.get_database().map(str::to_owned),
            tls: format!("{:?}", options.get_ssl_mode()),
            application: options.get_application_name().map(str::to_owned),
            settings: options.get_options().map(str::to_owned),
        }
    }
}

impl Route {
    /// The options to listen with, as they are now: a pool may have been given another password.
    fn listen_options(&self) -> Arc<PgConnectOptions> {
        self.direct.clone().unwrap_or_else(|| self.pool.connect_options())
    }

    fn ends(&self) -> RouteEnds {
        RouteEnds([
            RouteEnd::from_options(&self.listen_options()),
            RouteEnd::from_options(&self.pool.connect_options()),
        ])
    }
}

/// The stores of one listening connection.
pub(super) struct Hub {
    stores: Mutex<Vec<ListeningStore>>,
    status: WatchStatus,
    /// Notified when the last store has left.
    left: Notify,
    runtime: Handle,
}

struct ListeningStore {
    id: u64,
    /// The name that a notification of its changes has.
    name: String,
    route: Route,
    changed: Arc<Notify>,
    damping: AbortHandle,
}

/// Has `wake` called when the store `name` may have changed, until the result is dropped. `listen`
/// serves a new connection on a thread of its own.
pub(super) fn join(
    route: Route,
    name: String,
    wake: Wake,
    listen: fn(&Hub, &Runtime),
) -> io::Result<Watch> {
    let mut hubs = lock(&HUBS);
    let ends = route.ends();
    if let Some(hub) = hubs.iter().find(|hub| hub.has_ends(&ends)) {
        return Ok(hub.add(route, name, wake));
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let hub = Arc::new(Hub {
        stores: Mutex::default(),
        status: WatchStatus::default(),
        left: Notify::new(),
        runtime: runtime.handle().clone(),
    });
    let runtime = Background(Some(runtime));
    let served = Arc::clone(&hub);
    let run = move || runtime.0.iter().for_each(|runtime| listen(&served, runtime));
    // The thread must find a store, and a store that comes later the hub.
    let watch = hub.add(route, name, wake);
    hubs.push(hub);
    let started = std::thread::Builder::new().name("dualkey listen".to_owned()).spawn(run);
    // A watch that is dropped takes the lock.
    drop(hubs);
    started.map(|_| watch)
}

/// A runtime that waits for nothing when it is dropped: a plain one waits for the look-up of a name
/// that hangs, and may not be dropped where a task runs.
struct Background(Option<Runtime>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Hub {
    fn add(self: &Arc<Self>, route: Route, name: String, wake: Wake) -> Watch {
        let changed = Arc::new(Notify::new());
        let damping = self.runtime.spawn(damp(Arc::clone(&changed), wake)).abort_handle();
        let mut stores = lock(&self.stores);
        let id = stores.last().map_or(0, |last| last.id + 1);
        stores.push(ListeningStore { id, name, route, changed, damping });
        drop(stores);
        Watch::new(Joined { hub: Arc::clone(self), id }).with_status(self.status.clone())
    }

    /// Whether a store of it has these ends now.
    fn has_ends(&self, ends: &RouteEnds) -> bool {
        lock(&self.stores).iter().any(|store| store.route.ends() == *ends)
    }

    pub(super) fn is_left(&self) -> bool {
        lock(&self.stores).is_empty()
    }

    /// Does `work` until the last store has left.
    pub(super) async fn run_until_left(&self, work: impl Future<Output = ()>) {
        let (mut left, mut work) = (pin!(self.left.notified()), pin!(work));
        poll_fn(|context| match left.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => work.as_mut().poll(context),
        })
        .await;
    }

    /// The problem that its stores show.
    pub(super) fn status(&self) -> &WatchStatus {
        &self.status
    }

    /// The routes of its stores, each once, the newest first. Those of clones of a pool are one.
    pub(super) fn routes(&self) -> Vec<Route> {
        let mut routes: Vec<(Route, [Arc<PgConnectOptions>; 2])> = Vec::new();
        for store in lock(&self.stores).iter().rev() {
            let options = [store.route.listen_options(), store.route.pool.connect_options()];
            let is_same = |other: &[Arc<PgConnectOptions>; 2]| {
                options.iter().zip(other).all(|(one, other)| Arc::ptr_eq(one, other))
            };
            if !routes.iter().any(|(_, other)| is_same(other)) {
                routes.push((store.route.clone(), options));
            }
        }
        routes.into_iter().map(|(route, _)| route).collect()
    }

    /// Wakes the stores of this name.
    pub(super) fn wake(&self, name: &str) {
        for store in lock(&self.stores).iter().filter(|store| store.name == name) {
            store.changed.notify_one();
        }
    }

    /// Wakes all: something may have been missed.
    pub(super) fn wake_all(&self) {
        lock(&self.stores).iter().for_each(|store| store.changed.notify_one());
    }
}

/// Wakes at the first of several changes and after the last, at most once in [`DAMPING`]. Deliberately
/// not the task that listens, which would leave a storm to the memory of the client.
async fn damp(changed: Arc<Notify>, wake: Wake) {
    loop {
        changed.notified().await;
        catch(|| wake.wake());
        tokio::time::sleep(DAMPING).await;
    }
}

/// Leaves the hub when it is dropped.
struct Joined {
    hub: Arc<Hub>,
    id: u64,
}

impl Drop for Joined {
    fn drop(&mut self) {
        let mut hubs = lock(&HUBS);
        let mut stores = lock(&self.hub.stores);
        let place = stores.iter().position(|store| store.id == self.id);
        let store = place.map(|place| stores.remove(place));
        if stores.is_empty() {
            hubs.retain(|hub| !Arc::ptr_eq(hub, &self.hub));
            self.hub.left.notify_one();
        }
        drop((stores, hubs));
        // Its wake is dropped by the thread that listens; its pool here, without a lock.
        if let Some(store) = store {
            store.damping.abort();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
