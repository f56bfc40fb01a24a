import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('banks', '0003_pronunciation'),
    ]

    operations = [
        migrations.AddField(
            model_name='bank',
            name='cache_speech',
            field=models.BooleanField(default=False, help_text='What the API has spoken is kept, and not bought again when the same is asked for.', verbose_name='keep speech'),
        ),
        migrations.CreateModel(
            name='CacheUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hits', models.PositiveBigIntegerField(default=0)),
                ('misses', models.PositiveBigIntegerField(default=0)),
                ('bank', models.OneToOneField(editable=False, on_delete=django.db.models.deletion.CASCADE, related_name='cache_use', to='banks.bank')),
            ],
            options={
                'verbose_name': 'use of kept speech',
                'verbose_name_plural': 'uses of kept speech',
                'default_permissions': (),
            },
        ),
    ]
