"""The accounts, as the admin site shows them by default."""

from django.contrib import admin

from tests.integrations.django_project.shop.models import Account, Person

admin.site.register(Account)
admin.site.register(Person)
