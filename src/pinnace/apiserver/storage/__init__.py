"""Typed objects over the store: encoding, versions, the watch cache."""

from pinnace.apiserver.storage.dispatcher import Storage
from pinnace.apiserver.storage.entry import Entry
from pinnace.apiserver.storage.resource_storage import Page, ResourceStorage
from pinnace.apiserver.storage.watchers import EventType, Watcher, WatchEvent

__all__ = ("Entry", "EventType", "Page", "ResourceStorage", "Storage", "WatchEvent", "Watcher")
