"""The models as the admin site shows them by default, and accounts that can be searched."""

from django.contrib import admin

from tests.integrations.django_project.shop.models import Account, Lead, Person, Twin


@admin.register(Account)
class AccountAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's class takes no argument when it runs
    """Finds accounts by their name, and by their e-mail address."""

    list_display = ("name", "shown")
    search_fields = ("name", "email_index__exact")

    @admin.display(description="key")
    def shown(self, account: Account) -> str:
        """The last characters of the key."""
        return f"...{(account.api_key or '')[-4:]}"


admin.site.register(Lead)
admin.site.register(Person)
admin.site.register(Twin)
