import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('api', '0004_metrics_scope'),
    ]

    operations = [
        migrations.AddField(
            model_name='requestlog',
            name='cache',
            field=models.CharField(blank=True, max_length=6, verbose_name='kept speech'),
        ),
        migrations.AddField(
            model_name='serversettings',
            name='speech_cache_megabytes',
            field=models.PositiveIntegerField(default=1000, help_text='For all banks that keep speech together; what was not used for longest goes first. 0 = none.', validators=[django.core.validators.MaxValueValidator(1000000)], verbose_name='speech kept for banks, megabytes'),
        ),
    ]
