"""The addresses of the site; an API asks for no CSRF token."""

# mypy: disable-error-code="import-not-found,misc"
from __future__ import annotations

from types import ModuleType

import contract
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt

from django_site import views as plain_views


def patterns(views: ModuleType) -> list[URLPattern]:
    """Give each address its view; those of ASGI are of the same names. What blocks is a plain view in both."""
    return [
        path("plaintext", csrf_exempt(views.Plaintext.as_view())),
        path("json", csrf_exempt(views.Document.as_view())),
        path("bytes/<str:argument>", csrf_exempt(views.Contracted.as_view(handler=contract.get_bytes))),
        path("echo", csrf_exempt(views.Posted.as_view(handler=contract.post_echo))),
        path("upload", csrf_exempt(views.Posted.as_view(handler=contract.post_upload))),
        path("wait/<str:argument>", csrf_exempt(views.Contracted.as_view(handler=contract.get_wait))),
        path("block/<str:argument>", csrf_exempt(plain_views.Contracted.as_view(handler=contract.get_block))),
        path("cpu/<str:argument>", csrf_exempt(views.Contracted.as_view(handler=contract.get_cpu))),
        path("page", csrf_exempt(views.Page.as_view())),
        path("cached/<str:argument>", csrf_exempt(views.Cached.as_view())),
        path("static/<str:argument>", csrf_exempt(views.Contracted.as_view(handler=contract.get_static))),
        path("stream/<str:argument>", csrf_exempt(views.Contracted.as_view(handler=contract.get_stream))),
        path("jobs", csrf_exempt(views.Jobs.as_view())),
        path("jobs/<str:job_id>", csrf_exempt(views.OneJob.as_view())),
        path("pid", csrf_exempt(views.Contracted.as_view(handler=contract.get_pid))),
        path("error", csrf_exempt(views.Contracted.as_view(handler=contract.get_error))),
        path("items", csrf_exempt(views.Items.as_view())),
        path("items/<str:item_id>", csrf_exempt(views.OneItem.as_view())),
        path("raise/<str:item_id>", csrf_exempt(views.Raised.as_view())),
        path("query/<str:argument>", csrf_exempt(views.SlowQuery.as_view())),
    ]


urlpatterns = patterns(plain_views)
handler404 = "django_site.answers.unmatched"
