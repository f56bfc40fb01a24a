-- What every installation begins with.
INSERT INTO tts_providers VALUES ('default-openai-tts', 'OpenAI TTS', 'openaiCompatible', 'http://localhost:8880/v1', '', 'tts-1', 0, 0);
INSERT INTO tts_providers VALUES ('default-system-tts', 'Windows System TTS', 'systemTts', '', '', '', 0, 6);
INSERT INTO voice_assets (id, name, provider_id, task_mode, preset_voice_name) VALUES ('default-character', 'Default Voice', 'default-openai-tts', 'presetVoice', 'alloy');
INSERT INTO voice_banks VALUES ('default-bank', 'Default Bank', 'Starter voice bank', 1, 1750000000);
INSERT INTO voice_bank_members VALUES ('default-bank-member', 'default-bank', 'default-character');
INSERT INTO dialog_tts_projects VALUES ('default-dialog-project', 'Sample Dialog', 'default-bank', 1750000000, 1750000000);
INSERT INTO phase_tts_projects VALUES ('default-phase-project', 'Sample Narration', 'default-bank', 'Enter your script here.', 1750000000, 1750000000);
-- What somebody made.
INSERT INTO tts_providers VALUES ('p-kokoro', 'Kokoro', 'openaiCompatible', 'http://127.0.0.1:8880/v1', 'sk-kokoro', 'kokoro', 1, 1);
INSERT INTO tts_providers VALUES ('p-vox', 'VoxCPM2', 'voxcpm2Native', 'http://127.0.0.1:8000', '', 'voxcpm2', 1, 2);
INSERT INTO tts_providers VALUES ('p-sovits', 'SoVITS', 'gptSovits', 'http://127.0.0.1:9880', '', 'gpt-sovits', 1, 3);
INSERT INTO tts_providers VALUES ('p-azure', 'Azure', 'azureTts', 'https://eastus.tts.speech.microsoft.com', 'azure-key', '', 1, 4);
INSERT INTO tts_providers VALUES ('p-old', 'Qwen', 'qwen3Tts', 'http://127.0.0.1:7000', '', '', 1, 5);
INSERT INTO voice_assets (id, name, description, provider_id, task_mode, preset_voice_name, speed) VALUES ('v-bella', 'Bella', 'Warm', 'p-kokoro', 'presetVoice', 'af_bella', 1.0);
INSERT INTO voice_assets (id, name, provider_id, task_mode, ref_audio_path, ref_audio_trim_start, ref_audio_trim_end, prompt_text) VALUES ('v-clone', 'Old, man', 'p-vox', 'cloneWithPrompt', 'C:\Users\ann\voice_asset\voice_character_ref\man.wav', 0.5, 1.5, 'What he says');
INSERT INTO voice_assets (id, name, provider_id, task_mode, ref_audio_path) VALUES ('v-library', 'Reader', 'p-vox', 'cloneWithPrompt', 'C:\Users\ann\voice_asset\voice_character_ref\reader.wav');
INSERT INTO voice_assets (id, name, provider_id, model_name, task_mode, ref_audio_path, prompt_text, prompt_lang) VALUES ('v-sovits', 'Mei', 'p-sovits', 'zh', 'cloneWithPrompt', 'C:\Users\ann\voice_asset\voice_character_ref\gone.wav', 'ni hao', 'zh');
INSERT INTO voice_assets (id, name, provider_id, task_mode, preset_voice_name) VALUES ('v-azure', 'Jenny', 'p-azure', 'presetVoice', 'en-US-JennyNeural');
INSERT INTO voice_assets (id, name, provider_id, task_mode) VALUES ('v-old', 'Qwen voice', 'p-old', 'presetVoice');
INSERT INTO voice_banks VALUES ('b-tales', 'Tales', 'For tales', 1, 1750000100);
INSERT INTO voice_bank_members VALUES ('bm-1', 'b-tales', 'v-bella'), ('bm-2', 'b-tales', 'v-clone'), ('bm-3', 'b-tales', 'v-old');
INSERT INTO audio_tracks (id, name, audio_path, ref_text, ref_lang, created_at) VALUES ('t-reader', 'Reader', 'C:\Users\ann\voice_asset\voice_character_ref\reader.wav', 'What the reader says', 'en', 1750000100);
INSERT INTO dialog_tts_projects VALUES ('d-1', 'The visit', 'b-tales', 1750000200, 1750000300);
INSERT INTO dialog_tts_lines (id, project_id, order_index, line_text, voice_asset_id, audio_path) VALUES
  ('d-1-b', 'd-1', 1, 'Nobody in the village was surprised at all.', 'v-bella', 'C:\Users\ann\voice_asset\dialog_tts\The visit\line_1.wav'),
  ('d-1-a', 'd-1', 0, 'The quick brown fox jumps over the lazy dog.', 'v-bella', 'C:\Users\ann\voice_asset\dialog_tts\The visit\line_0.wav'),
  ('d-1-c', 'd-1', 2, 'I am not spoken yet.', 'v-clone', NULL),
  ('d-1-d', 'd-1', 3, 'My file is gone.', 'v-bella', 'C:\Users\ann\voice_asset\dialog_tts\The visit\line_3.wav'),
  ('d-1-e', 'd-1', 4, 'I had another voice.', 'v-old', 'C:\Users\ann\voice_asset\dialog_tts\The visit\line_4.wav'),
  ('d-1-f', 'd-1', 5, '   ', 'v-bella', NULL);
INSERT INTO phase_tts_projects VALUES ('s-1', 'Narration', 'b-tales', 'One. Two.', 1750000200, 1750000300);
INSERT INTO phase_tts_segments (id, project_id, order_index, segment_text, voice_asset_id, audio_path) VALUES
  ('s-1-a', 's-1', 0, 'She sold her house near the river last winter.', 'v-bella', '/home/ann/voice_asset/phase_tts/Narration/seg_0.mp3'),
  ('s-1-b', 's-1', 1, 'This one is no audio.', 'v-bella', '/home/ann/voice_asset/phase_tts/Narration/seg_1.mp3');
INSERT INTO phase_tts_projects VALUES ('s-2', 'Uncut', 'b-tales', 'First paragraph.

Second paragraph.', 1750000200, 1750000300);
INSERT INTO video_dub_projects VALUES ('c-1', 'Film', 'b-tales', 'C:\Videos\film.mp4', 12.5, 1750000200, 1750000300);
INSERT INTO subtitle_cues (id, project_id, order_index, start_ms, end_ms, cue_text, voice_asset_id, audio_path) VALUES
  ('c-1-a', 'c-1', 0, 500, 2500, 'Come in.', 'v-bella', NULL),
  ('c-1-b', 'c-1', 1, 4000, 3000, 'I end before I start.', 'v-bella', NULL);
INSERT INTO quick_tts_histories (id, voice_asset_id, voice_name, input_text, audio_path, created_at) VALUES
  ('q-1', 'v-bella', 'Bella', 'The train to the mountains leaves in the morning.', 'C:\Users\ann\voice_asset\quick_tts\Bella\quick.wav', 1750000400),
  ('q-2', 'v-old', 'Qwen voice', 'Whose voice is gone.', 'C:\Users\ann\voice_asset\quick_tts\Qwen\quick.wav', 1750000400);
INSERT INTO timeline_clips (id, project_id, project_type, audio_path) VALUES ('clip-1', 'd-1', 'dialog', 'C:\Users\ann\voice_asset\dialog_tts\The visit\sfx\door.wav');
