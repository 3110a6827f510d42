"""Calls to an API server, and the caches, queues and events that control loops are made of."""

from pinnace.client.counted import CountedTransport
from pinnace.client.events import EventRecorder, EventWriter
from pinnace.client.informer import Cache, InformerFactory, SharedInformer
from pinnace.client.rest import Client, Listing, PatchType
from pinnace.client.transport import HttpTransport, InProcessTransport, Transport
from pinnace.client.watch_events import WatchEvent
from pinnace.client.workqueue import RateLimitingQueue

__all__ = (
    "Cache",
    "Client",
    "CountedTransport",
    "EventRecorder",
    "EventWriter",
    "HttpTransport",
    "InProcessTransport",
    "InformerFactory",
    "Listing",
    "PatchType",
    "RateLimitingQueue",
    "SharedInformer",
    "Transport",
    "WatchEvent",
)
