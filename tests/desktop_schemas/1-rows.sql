INSERT INTO tts_providers VALUES ('p-1', 'Kokoro', 'openaiCompatible', 'http://127.0.0.1:8880/v1', 'sk-first', 1);
INSERT INTO model_bindings VALUES ('m-1', 'p-1', 'kokoro', 'presetVoice');
INSERT INTO voice_assets VALUES ('v-1', 'Bella', 'p-1', 'm-1', 'presetVoice', NULL, NULL, NULL, NULL, 'af_bella', 1.25, 1);
