UPDATE tts_providers SET max_concurrency = 3, requests_per_minute = 20, tokens_per_day = 90000 WHERE id = 'p-kokoro';
UPDATE phase_tts_segments SET speaker_label = 'Ann' WHERE id = 's-1-a';
INSERT INTO tts_providers (id, name, adapter_type, base_url, api_key, default_model_name, enabled, position) VALUES ('p-gemini', 'Google AI Studio', 'geminiTts', 'https://generativelanguage.googleapis.com', 'g-key', 'gemini-2.5-flash-preview-tts', 1, 7);
INSERT INTO novel_projects (id, name, bank_id, narrator_voice_asset_id, dialogue_voice_asset_id, current_global_index, created_at, updated_at) VALUES ('n-1', 'A book', 'b-tales', 'v-bella', 'v-clone', 2, 1750000200, 1750000300);
INSERT INTO novel_chapters (id, project_id, order_index, title, raw_text) VALUES ('ch-1', 'n-1', 0, 'Chapter one', 'It rained.'), ('ch-2', 'n-1', 1, 'Chapter two', 'The end.');
INSERT INTO novel_segments (id, project_id, chapter_id, global_index, order_index, segment_text, segment_type, audio_path) VALUES
  ('n-1-a', 'n-1', 'ch-1', 0, 0, 'It rained all day.', 'narrator', NULL),
  ('n-1-b', 'n-1', 'ch-1', 1, 1, '“Come in,” she said.', 'dialogue', NULL),
  ('n-1-c', 'n-1', 'ch-2', 2, 0, 'We waited for hours, but the doctor never came.', 'narrator', '/data/voice_asset/novel_reader/A book/c.wav');
