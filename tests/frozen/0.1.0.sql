BEGIN TRANSACTION;
CREATE TABLE "api_apikey" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(100) NOT NULL, "digest" varchar(64) NOT NULL UNIQUE, "hint" varchar(8) NOT NULL, "scope" varchar(10) NOT NULL, "rate_limit_per_minute" integer unsigned NULL CHECK ("rate_limit_per_minute" >= 0), "expires_at" datetime NULL, "revoked_at" datetime NULL, "last_used_at" datetime NULL, "created_at" datetime NOT NULL, "owner_id" integer NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "api_apikey" VALUES(1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0','speech',0,'2026-03-01 00:00:00.999999','2026-03-01 00:00:01.999999','2026-03-01 00:00:02.999999','2026-03-01 00:00:03.999999',1);
INSERT INTO "api_apikey" VALUES(11,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','1','read',NULL,NULL,NULL,NULL,'1999-12-31 12:00:04.000001',11);
INSERT INTO "api_apikey" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2','manage',2147483647,'2100-01-01 00:00:01','2100-01-01 00:00:02','2100-01-01 00:00:03','2100-01-01 00:00:04',NULL);
CREATE TABLE "api_apikey_banks" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "apikey_id" bigint NOT NULL REFERENCES "api_apikey" ("id") DEFERRABLE INITIALLY DEFERRED, "bank_id" bigint NOT NULL REFERENCES "banks_bank" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "api_apikey_banks" VALUES(1,1,1);
INSERT INTO "api_apikey_banks" VALUES(11,11,11);
INSERT INTO "api_apikey_banks" VALUES(21,21,21);
CREATE TABLE "api_job" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "public_id" varchar(40) NOT NULL UNIQUE, "created_at" datetime NOT NULL, "metadata" text NOT NULL CHECK ((JSON_VALID("metadata") OR "metadata" IS NULL)), "idempotency_key" varchar(255) NOT NULL, "body_digest" varchar(64) NOT NULL, "webhook_url" varchar(2000) NOT NULL, "webhook_secret" text NOT NULL, "webhook_state" varchar(10) NOT NULL, "webhook_attempts" smallint unsigned NOT NULL CHECK ("webhook_attempts" >= 0), "webhook_due" datetime NULL, "webhook_error" varchar(300) NOT NULL, "key_id" bigint NULL REFERENCES "api_apikey" ("id") DEFERRABLE INITIALLY DEFERRED, "owner_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "api_job" VALUES(1,'0 “Ünïcode”, 语音 🎙','2026-02-28 23:59:59.999999','{"a": [1, 2.5, null, true], "\u043a\u043b\u044e\u0447": "\u503c"}','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','gAAAAABrB65v8yvYBOYPxJbeeqNtXQ9gs1Q0vaqfChoEjm41S73KXFC-9xL2KUb9s0FWcF2Dq6QxwyAuby9WJ9t-a22Nr_m4gg==','',0,'2026-03-01 00:00:00.999999','0 “Ünïcode”, 语音 🎙',1,1);
INSERT INTO "api_job" VALUES(11,'1 two
lines	and a \ backslash','1999-12-31 12:00:00.000001','{}','1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','gAAAAABrB65vrRGpMMj34Ehe1hartJyB8Zne_kz1NUXl-we9BXueMz-ZIrIogukvcyer8mB-sZTBH8fcUhMqqLOOIYxP4xFjHw==','waiting',1,NULL,'1 two
lines	and a \ backslash',11,11);
INSERT INTO "api_job" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>','2100-01-01 00:00:00','{"deep": {"deeper": ["\\", "\"", "\n"]}}','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','gAAAAABrB65vXYGjqGIyLXU_CELgVRIAtrwu-uYZ9Wcd9H_HJera9tPb0fvf0SEfKrn0w9MaUUMh7ySUxoVrc-r8bDUBgdQD2Q==','sending',32767,'2100-01-01 00:00:01','2 it''s 100 % "quoted"   <b>&amp;</b>',NULL,21);
CREATE TABLE "api_jobitem" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "index" integer unsigned NOT NULL CHECK ("index" >= 0), "custom_id" varchar(64) NOT NULL, "voice_id" varchar(40) NOT NULL, "job_id" bigint NOT NULL REFERENCES "api_job" ("id") DEFERRABLE INITIALLY DEFERRED, "take_id" bigint NULL UNIQUE REFERENCES "studio_take" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "job_item_place" UNIQUE ("job_id", "index"));
INSERT INTO "api_jobitem" VALUES(1,0,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',1,1);
INSERT INTO "api_jobitem" VALUES(11,1,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash',11,11);
INSERT INTO "api_jobitem" VALUES(21,2147483647,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',21,NULL);
CREATE TABLE "api_preferences" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "language" varchar(20) NOT NULL, "time_zone" varchar(64) NOT NULL, "user_id" integer NOT NULL UNIQUE REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "api_preferences" VALUES(1,'en','0 “Ünïcode”, 语音 🎙',1);
INSERT INTO "api_preferences" VALUES(11,'zh-hans','1 two
lines	and a \ backslash',11);
INSERT INTO "api_preferences" VALUES(21,'en','2 it''s 100 % "quoted"   <b>&amp;</b>',21);
CREATE TABLE "api_requestlog" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "at" datetime NOT NULL, "request_id" varchar(40) NOT NULL, "method" varchar(10) NOT NULL, "path" varchar(200) NOT NULL, "status" smallint unsigned NOT NULL CHECK ("status" >= 0), "error_code" varchar(60) NOT NULL, "address" varchar(45) NOT NULL, "key_name" varchar(100) NOT NULL, "bank" varchar(100) NOT NULL, "character" varchar(100) NOT NULL, "provider" varchar(100) NOT NULL, "characters" integer unsigned NOT NULL CHECK ("characters" >= 0), "audio_format" varchar(10) NOT NULL, "queue_ms" integer unsigned NOT NULL CHECK ("queue_ms" >= 0), "model_preset" varchar(100) NOT NULL, "inference_ms" integer unsigned NULL CHECK ("inference_ms" >= 0), "audio_ms" integer unsigned NULL CHECK ("audio_ms" >= 0), "upstream" varchar(500) NOT NULL, "first_byte_ms" integer unsigned NOT NULL CHECK ("first_byte_ms" >= 0), "total_ms" integer unsigned NOT NULL CHECK ("total_ms" >= 0), "bytes_sent" bigint unsigned NOT NULL CHECK ("bytes_sent" >= 0), "complete" bool NOT NULL);
INSERT INTO "api_requestlog" VALUES(1,'2026-03-01 00:00:04.999999','0 “Ünïcode”, 语音 🎙','0','0 “Ünïcode”, 语音 🎙',0,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',0,'0',0,'0 “Ünïcode”, 语音 🎙',0,0,'0 “Ünïcode”, 语音 🎙',0,0,0,1);
INSERT INTO "api_requestlog" VALUES(11,'1999-12-31 12:00:05.000001','1 two
lines	and a \ backslash','1','1 two
lines	and a \ backslash',1,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','1 two
lines	and a \ backslash',1,'1',1,'1 two
lines	and a \ backslash',NULL,NULL,'1 two
lines	and a \ backslash',1,1,9007199254740993,0);
INSERT INTO "api_requestlog" VALUES(21,'2100-01-01 00:00:05','2 it''s 100 % "quoted"   <b>&amp;</b>','2','2 it''s 100 % "quoted"   <b>&amp;</b>',32767,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',2147483647,'2',2147483647,'2 it''s 100 % "quoted"   <b>&amp;</b>',2147483647,2147483647,'2 it''s 100 % "quoted"   <b>&amp;</b>',2147483647,2147483647,9223372036854775807,1);
CREATE TABLE "api_serversettings" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "host" varchar(255) NOT NULL, "port" integer unsigned NOT NULL CHECK ("port" >= 0), "api_enabled" bool NOT NULL, "access" varchar(10) NOT NULL, "public_lists" bool NOT NULL, "cors_origins" text NOT NULL, "rate_limit_per_minute" integer unsigned NOT NULL CHECK ("rate_limit_per_minute" >= 0), "max_body_bytes" integer unsigned NOT NULL CHECK ("max_body_bytes" >= 0), "max_input_characters" integer unsigned NOT NULL CHECK ("max_input_characters" >= 0), "queue_limit" integer unsigned NOT NULL CHECK ("queue_limit" >= 0), "queue_deadline_seconds" integer unsigned NOT NULL CHECK ("queue_deadline_seconds" >= 0), "log_requests" bool NOT NULL, "log_keep_rows" integer unsigned NOT NULL CHECK ("log_keep_rows" >= 0), "seeded_at" datetime NULL);
INSERT INTO "api_serversettings" VALUES(1,'0 “Ünïcode”, 语音 🎙',0,1,'open',1,'0 “Ünïcode”, 语音 🎙',0,0,0,0,0,1,0,'2026-03-01 00:00:04.999999');
INSERT INTO "api_serversettings" VALUES(11,'1 two
lines	and a \ backslash',1,0,'keys',0,'',1,1,1,1,1,0,1,NULL);
INSERT INTO "api_serversettings" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>',2147483647,1,'open',1,'2 it''s 100 % "quoted"   <b>&amp;</b>',2147483647,2147483647,2147483647,2147483647,2147483647,1,2147483647,'2100-01-01 00:00:05');
CREATE TABLE "auth_group" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(150) NOT NULL UNIQUE);
INSERT INTO "auth_group" VALUES(1,'Producers');
INSERT INTO "auth_group" VALUES(2,'Viewers');
CREATE TABLE "auth_group_permissions" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "group_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED, "permission_id" integer NOT NULL REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "auth_group_permissions" VALUES(1,1,133);
INSERT INTO "auth_group_permissions" VALUES(2,1,134);
INSERT INTO "auth_group_permissions" VALUES(3,1,135);
INSERT INTO "auth_group_permissions" VALUES(4,1,136);
INSERT INTO "auth_group_permissions" VALUES(5,1,36);
INSERT INTO "auth_group_permissions" VALUES(6,1,44);
INSERT INTO "auth_group_permissions" VALUES(7,1,48);
INSERT INTO "auth_group_permissions" VALUES(8,1,57);
INSERT INTO "auth_group_permissions" VALUES(9,1,58);
INSERT INTO "auth_group_permissions" VALUES(10,1,59);
INSERT INTO "auth_group_permissions" VALUES(11,1,60);
INSERT INTO "auth_group_permissions" VALUES(12,1,61);
INSERT INTO "auth_group_permissions" VALUES(13,1,62);
INSERT INTO "auth_group_permissions" VALUES(14,1,63);
INSERT INTO "auth_group_permissions" VALUES(15,1,64);
INSERT INTO "auth_group_permissions" VALUES(16,1,65);
INSERT INTO "auth_group_permissions" VALUES(17,1,66);
INSERT INTO "auth_group_permissions" VALUES(18,1,67);
INSERT INTO "auth_group_permissions" VALUES(19,1,68);
INSERT INTO "auth_group_permissions" VALUES(20,1,69);
INSERT INTO "auth_group_permissions" VALUES(21,1,70);
INSERT INTO "auth_group_permissions" VALUES(22,1,71);
INSERT INTO "auth_group_permissions" VALUES(23,1,72);
INSERT INTO "auth_group_permissions" VALUES(24,1,73);
INSERT INTO "auth_group_permissions" VALUES(25,1,74);
INSERT INTO "auth_group_permissions" VALUES(26,1,75);
INSERT INTO "auth_group_permissions" VALUES(27,1,76);
INSERT INTO "auth_group_permissions" VALUES(28,1,81);
INSERT INTO "auth_group_permissions" VALUES(29,1,82);
INSERT INTO "auth_group_permissions" VALUES(30,1,83);
INSERT INTO "auth_group_permissions" VALUES(31,1,84);
INSERT INTO "auth_group_permissions" VALUES(32,1,97);
INSERT INTO "auth_group_permissions" VALUES(33,1,98);
INSERT INTO "auth_group_permissions" VALUES(34,1,99);
INSERT INTO "auth_group_permissions" VALUES(35,1,100);
INSERT INTO "auth_group_permissions" VALUES(36,2,64);
INSERT INTO "auth_group_permissions" VALUES(37,2,100);
INSERT INTO "auth_group_permissions" VALUES(38,2,36);
INSERT INTO "auth_group_permissions" VALUES(39,2,72);
INSERT INTO "auth_group_permissions" VALUES(40,2,76);
INSERT INTO "auth_group_permissions" VALUES(41,2,44);
INSERT INTO "auth_group_permissions" VALUES(42,2,48);
INSERT INTO "auth_group_permissions" VALUES(43,2,84);
INSERT INTO "auth_group_permissions" VALUES(44,2,60);
CREATE TABLE "auth_permission" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "content_type_id" integer NOT NULL REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED, "codename" varchar(100) NOT NULL, "name" varchar(255) NOT NULL);
INSERT INTO "auth_permission" VALUES(1,1,'add_logentry','Can add log entry');
INSERT INTO "auth_permission" VALUES(2,1,'change_logentry','Can change log entry');
INSERT INTO "auth_permission" VALUES(3,1,'delete_logentry','Can delete log entry');
INSERT INTO "auth_permission" VALUES(4,1,'view_logentry','Can view log entry');
INSERT INTO "auth_permission" VALUES(5,3,'add_permission','Can add permission');
INSERT INTO "auth_permission" VALUES(6,3,'change_permission','Can change permission');
INSERT INTO "auth_permission" VALUES(7,3,'delete_permission','Can delete permission');
INSERT INTO "auth_permission" VALUES(8,3,'view_permission','Can view permission');
INSERT INTO "auth_permission" VALUES(9,2,'add_group','Can add group');
INSERT INTO "auth_permission" VALUES(10,2,'change_group','Can change group');
INSERT INTO "auth_permission" VALUES(11,2,'delete_group','Can delete group');
INSERT INTO "auth_permission" VALUES(12,2,'view_group','Can view group');
INSERT INTO "auth_permission" VALUES(13,4,'add_user','Can add user');
INSERT INTO "auth_permission" VALUES(14,4,'change_user','Can change user');
INSERT INTO "auth_permission" VALUES(15,4,'delete_user','Can delete user');
INSERT INTO "auth_permission" VALUES(16,4,'view_user','Can view user');
INSERT INTO "auth_permission" VALUES(17,5,'add_contenttype','Can add content type');
INSERT INTO "auth_permission" VALUES(18,5,'change_contenttype','Can change content type');
INSERT INTO "auth_permission" VALUES(19,5,'delete_contenttype','Can delete content type');
INSERT INTO "auth_permission" VALUES(20,5,'view_contenttype','Can view content type');
INSERT INTO "auth_permission" VALUES(21,6,'add_session','Can add session');
INSERT INTO "auth_permission" VALUES(22,6,'change_session','Can change session');
INSERT INTO "auth_permission" VALUES(23,6,'delete_session','Can delete session');
INSERT INTO "auth_permission" VALUES(24,6,'view_session','Can view session');
INSERT INTO "auth_permission" VALUES(25,11,'add_configurationversion','Can add configuration version');
INSERT INTO "auth_permission" VALUES(26,11,'change_configurationversion','Can change configuration version');
INSERT INTO "auth_permission" VALUES(27,11,'delete_configurationversion','Can delete configuration version');
INSERT INTO "auth_permission" VALUES(28,11,'view_configurationversion','Can view configuration version');
INSERT INTO "auth_permission" VALUES(29,7,'add_auditentry','Can add audit entry');
INSERT INTO "auth_permission" VALUES(30,7,'change_auditentry','Can change audit entry');
INSERT INTO "auth_permission" VALUES(31,7,'delete_auditentry','Can delete audit entry');
INSERT INTO "auth_permission" VALUES(32,7,'view_auditentry','Can view audit entry');
INSERT INTO "auth_permission" VALUES(33,13,'add_provider','Can add provider');
INSERT INTO "auth_permission" VALUES(34,13,'change_provider','Can change provider');
INSERT INTO "auth_permission" VALUES(35,13,'delete_provider','Can delete provider');
INSERT INTO "auth_permission" VALUES(36,13,'view_provider','Can view provider');
INSERT INTO "auth_permission" VALUES(37,12,'add_healthreport','Can add health report');
INSERT INTO "auth_permission" VALUES(38,12,'change_healthreport','Can change health report');
INSERT INTO "auth_permission" VALUES(39,12,'delete_healthreport','Can delete health report');
INSERT INTO "auth_permission" VALUES(40,12,'view_healthreport','Can view health report');
INSERT INTO "auth_permission" VALUES(41,9,'add_cataloguevoice','Can add catalogue voice');
INSERT INTO "auth_permission" VALUES(42,9,'change_cataloguevoice','Can change catalogue voice');
INSERT INTO "auth_permission" VALUES(43,9,'delete_cataloguevoice','Can delete catalogue voice');
INSERT INTO "auth_permission" VALUES(44,9,'view_cataloguevoice','Can view catalogue voice');
INSERT INTO "auth_permission" VALUES(45,8,'add_cataloguemodel','Can add catalogue model');
INSERT INTO "auth_permission" VALUES(46,8,'change_cataloguemodel','Can change catalogue model');
INSERT INTO "auth_permission" VALUES(47,8,'delete_cataloguemodel','Can delete catalogue model');
INSERT INTO "auth_permission" VALUES(48,8,'view_cataloguemodel','Can view catalogue model');
INSERT INTO "auth_permission" VALUES(49,14,'add_usageminute','Can add usage minute');
INSERT INTO "auth_permission" VALUES(50,14,'change_usageminute','Can change usage minute');
INSERT INTO "auth_permission" VALUES(51,14,'delete_usageminute','Can delete usage minute');
INSERT INTO "auth_permission" VALUES(52,14,'view_usageminute','Can view usage minute');
INSERT INTO "auth_permission" VALUES(53,10,'add_chatmodel','Can add chat model');
INSERT INTO "auth_permission" VALUES(54,10,'change_chatmodel','Can change chat model');
INSERT INTO "auth_permission" VALUES(55,10,'delete_chatmodel','Can delete chat model');
INSERT INTO "auth_permission" VALUES(56,10,'view_chatmodel','Can view chat model');
INSERT INTO "auth_permission" VALUES(57,15,'add_bank','Can add bank');
INSERT INTO "auth_permission" VALUES(58,15,'change_bank','Can change bank');
INSERT INTO "auth_permission" VALUES(59,15,'delete_bank','Can delete bank');
INSERT INTO "auth_permission" VALUES(60,15,'view_bank','Can view bank');
INSERT INTO "auth_permission" VALUES(61,17,'add_membership','Can add membership');
INSERT INTO "auth_permission" VALUES(62,17,'change_membership','Can change membership');
INSERT INTO "auth_permission" VALUES(63,17,'delete_membership','Can delete membership');
INSERT INTO "auth_permission" VALUES(64,17,'view_membership','Can view membership');
INSERT INTO "auth_permission" VALUES(65,19,'add_referenceaudio','Can add reference audio');
INSERT INTO "auth_permission" VALUES(66,19,'change_referenceaudio','Can change reference audio');
INSERT INTO "auth_permission" VALUES(67,19,'delete_referenceaudio','Can delete reference audio');
INSERT INTO "auth_permission" VALUES(68,19,'view_referenceaudio','Can view reference audio');
INSERT INTO "auth_permission" VALUES(69,16,'add_character','Can add character');
INSERT INTO "auth_permission" VALUES(70,16,'change_character','Can change character');
INSERT INTO "auth_permission" VALUES(71,16,'delete_character','Can delete character');
INSERT INTO "auth_permission" VALUES(72,16,'view_character','Can view character');
INSERT INTO "auth_permission" VALUES(73,18,'add_pronunciation','Can add pronunciation');
INSERT INTO "auth_permission" VALUES(74,18,'change_pronunciation','Can change pronunciation');
INSERT INTO "auth_permission" VALUES(75,18,'delete_pronunciation','Can delete pronunciation');
INSERT INTO "auth_permission" VALUES(76,18,'view_pronunciation','Can view pronunciation');
INSERT INTO "auth_permission" VALUES(77,30,'add_studiosettings','Can add studio settings');
INSERT INTO "auth_permission" VALUES(78,30,'change_studiosettings','Can change studio settings');
INSERT INTO "auth_permission" VALUES(79,30,'delete_studiosettings','Can delete studio settings');
INSERT INTO "auth_permission" VALUES(80,30,'view_studiosettings','Can view studio settings');
INSERT INTO "auth_permission" VALUES(81,32,'add_take','Can add take');
INSERT INTO "auth_permission" VALUES(82,32,'change_take','Can change take');
INSERT INTO "auth_permission" VALUES(83,32,'delete_take','Can delete take');
INSERT INTO "auth_permission" VALUES(84,32,'view_take','Can view take');
INSERT INTO "auth_permission" VALUES(85,20,'add_castentry','Can add cast entry');
INSERT INTO "auth_permission" VALUES(86,20,'change_castentry','Can change cast entry');
INSERT INTO "auth_permission" VALUES(87,20,'delete_castentry','Can delete cast entry');
INSERT INTO "auth_permission" VALUES(88,20,'view_castentry','Can view cast entry');
INSERT INTO "auth_permission" VALUES(89,23,'add_export','Can add export');
INSERT INTO "auth_permission" VALUES(90,23,'change_export','Can change export');
INSERT INTO "auth_permission" VALUES(91,23,'delete_export','Can delete export');
INSERT INTO "auth_permission" VALUES(92,23,'view_export','Can view export');
INSERT INTO "auth_permission" VALUES(93,25,'add_line','Can add line');
INSERT INTO "auth_permission" VALUES(94,25,'change_line','Can change line');
INSERT INTO "auth_permission" VALUES(95,25,'delete_line','Can delete line');
INSERT INTO "auth_permission" VALUES(96,25,'view_line','Can view line');
INSERT INTO "auth_permission" VALUES(97,26,'add_project','Can add project');
INSERT INTO "auth_permission" VALUES(98,26,'change_project','Can change project');
INSERT INTO "auth_permission" VALUES(99,26,'delete_project','Can delete project');
INSERT INTO "auth_permission" VALUES(100,26,'view_project','Can view project');
INSERT INTO "auth_permission" VALUES(101,27,'add_projectpronunciation','Can add pronunciation of a project');
INSERT INTO "auth_permission" VALUES(102,27,'change_projectpronunciation','Can change pronunciation of a project');
INSERT INTO "auth_permission" VALUES(103,27,'delete_projectpronunciation','Can delete pronunciation of a project');
INSERT INTO "auth_permission" VALUES(104,27,'view_projectpronunciation','Can view pronunciation of a project');
INSERT INTO "auth_permission" VALUES(105,24,'add_footage','Can add footage');
INSERT INTO "auth_permission" VALUES(106,24,'change_footage','Can change footage');
INSERT INTO "auth_permission" VALUES(107,24,'delete_footage','Can delete footage');
INSERT INTO "auth_permission" VALUES(108,24,'view_footage','Can view footage');
INSERT INTO "auth_permission" VALUES(109,28,'add_readingplace','Can add reading place');
INSERT INTO "auth_permission" VALUES(110,28,'change_readingplace','Can change reading place');
INSERT INTO "auth_permission" VALUES(111,28,'delete_readingplace','Can delete reading place');
INSERT INTO "auth_permission" VALUES(112,28,'view_readingplace','Can view reading place');
INSERT INTO "auth_permission" VALUES(113,33,'add_upload','Can add upload');
INSERT INTO "auth_permission" VALUES(114,33,'change_upload','Can change upload');
INSERT INTO "auth_permission" VALUES(115,33,'delete_upload','Can delete upload');
INSERT INTO "auth_permission" VALUES(116,33,'view_upload','Can view upload');
INSERT INTO "auth_permission" VALUES(117,31,'add_suggestionrun','Can add suggestion of speakers');
INSERT INTO "auth_permission" VALUES(118,31,'change_suggestionrun','Can change suggestion of speakers');
INSERT INTO "auth_permission" VALUES(119,31,'delete_suggestionrun','Can delete suggestion of speakers');
INSERT INTO "auth_permission" VALUES(120,31,'view_suggestionrun','Can view suggestion of speakers');
INSERT INTO "auth_permission" VALUES(121,29,'add_speakersuggestion','Can add suggested speaker');
INSERT INTO "auth_permission" VALUES(122,29,'change_speakersuggestion','Can change suggested speaker');
INSERT INTO "auth_permission" VALUES(123,29,'delete_speakersuggestion','Can delete suggested speaker');
INSERT INTO "auth_permission" VALUES(124,29,'view_speakersuggestion','Can view suggested speaker');
INSERT INTO "auth_permission" VALUES(125,22,'add_desktopsource','Can add desktop installation');
INSERT INTO "auth_permission" VALUES(126,22,'change_desktopsource','Can change desktop installation');
INSERT INTO "auth_permission" VALUES(127,22,'delete_desktopsource','Can delete desktop installation');
INSERT INTO "auth_permission" VALUES(128,22,'view_desktopsource','Can view desktop installation');
INSERT INTO "auth_permission" VALUES(129,21,'add_desktoporigin','Can add origin in a desktop installation');
INSERT INTO "auth_permission" VALUES(130,21,'change_desktoporigin','Can change origin in a desktop installation');
INSERT INTO "auth_permission" VALUES(131,21,'delete_desktoporigin','Can delete origin in a desktop installation');
INSERT INTO "auth_permission" VALUES(132,21,'view_desktoporigin','Can view origin in a desktop installation');
INSERT INTO "auth_permission" VALUES(133,34,'add_apikey','Can add API key');
INSERT INTO "auth_permission" VALUES(134,34,'change_apikey','Can change API key');
INSERT INTO "auth_permission" VALUES(135,34,'delete_apikey','Can delete API key');
INSERT INTO "auth_permission" VALUES(136,34,'view_apikey','Can view API key');
INSERT INTO "auth_permission" VALUES(137,37,'add_preferences','Can add preferences');
INSERT INTO "auth_permission" VALUES(138,37,'change_preferences','Can change preferences');
INSERT INTO "auth_permission" VALUES(139,37,'delete_preferences','Can delete preferences');
INSERT INTO "auth_permission" VALUES(140,37,'view_preferences','Can view preferences');
INSERT INTO "auth_permission" VALUES(141,38,'add_requestlog','Can add request');
INSERT INTO "auth_permission" VALUES(142,38,'change_requestlog','Can change request');
INSERT INTO "auth_permission" VALUES(143,38,'delete_requestlog','Can delete request');
INSERT INTO "auth_permission" VALUES(144,38,'view_requestlog','Can view request');
INSERT INTO "auth_permission" VALUES(145,39,'add_serversettings','Can add server settings');
INSERT INTO "auth_permission" VALUES(146,39,'change_serversettings','Can change server settings');
INSERT INTO "auth_permission" VALUES(147,39,'delete_serversettings','Can delete server settings');
INSERT INTO "auth_permission" VALUES(148,39,'view_serversettings','Can view server settings');
INSERT INTO "auth_permission" VALUES(149,35,'add_job','Can add job');
INSERT INTO "auth_permission" VALUES(150,35,'change_job','Can change job');
INSERT INTO "auth_permission" VALUES(151,35,'delete_job','Can delete job');
INSERT INTO "auth_permission" VALUES(152,35,'view_job','Can view job');
INSERT INTO "auth_permission" VALUES(153,36,'add_jobitem','Can add item of a job');
INSERT INTO "auth_permission" VALUES(154,36,'change_jobitem','Can change item of a job');
INSERT INTO "auth_permission" VALUES(155,36,'delete_jobitem','Can delete item of a job');
INSERT INTO "auth_permission" VALUES(156,36,'view_jobitem','Can view item of a job');
INSERT INTO "auth_permission" VALUES(157,40,'add_failedsignins','Can add failed sign ins');
INSERT INTO "auth_permission" VALUES(158,40,'change_failedsignins','Can change failed sign ins');
INSERT INTO "auth_permission" VALUES(159,40,'delete_failedsignins','Can delete failed sign ins');
INSERT INTO "auth_permission" VALUES(160,40,'view_failedsignins','Can view failed sign ins');
CREATE TABLE "auth_user" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "password" varchar(128) NOT NULL, "last_login" datetime NULL, "is_superuser" bool NOT NULL, "username" varchar(150) NOT NULL UNIQUE, "last_name" varchar(150) NOT NULL, "email" varchar(254) NOT NULL, "is_staff" bool NOT NULL, "is_active" bool NOT NULL, "date_joined" datetime NOT NULL, "first_name" varchar(150) NOT NULL);
INSERT INTO "auth_user" VALUES(1,'0 “Ünïcode”, 语音 🎙','2026-02-28 23:59:59.999999',1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',1,1,'2026-03-01 00:00:00.999999','0 “Ünïcode”, 语音 🎙');
INSERT INTO "auth_user" VALUES(11,'1 two
lines	and a \ backslash',NULL,0,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','1 two
lines	and a \ backslash',0,0,'1999-12-31 12:00:01.000001','1 two
lines	and a \ backslash');
INSERT INTO "auth_user" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>','2100-01-01 00:00:00',1,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',1,1,'2100-01-01 00:00:01','2 it''s 100 % "quoted"   <b>&amp;</b>');
CREATE TABLE "auth_user_groups" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "group_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "auth_user_groups" VALUES(1,1,1);
INSERT INTO "auth_user_groups" VALUES(11,11,2);
INSERT INTO "auth_user_groups" VALUES(21,21,1);
CREATE TABLE "auth_user_user_permissions" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "permission_id" integer NOT NULL REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "auth_user_user_permissions" VALUES(1,1,1);
INSERT INTO "auth_user_user_permissions" VALUES(11,11,2);
INSERT INTO "auth_user_user_permissions" VALUES(21,21,1);
CREATE TABLE "banks_bank" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "archived_at" datetime NULL, "name" varchar(100) NOT NULL, "description" text NOT NULL, "active" bool NOT NULL, "public" bool NOT NULL, "position" integer unsigned NOT NULL CHECK ("position" >= 0), "created_at" datetime NOT NULL, "updated_at" datetime NOT NULL, "default_character_id" bigint NULL REFERENCES "banks_character" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "banks_bank" VALUES(1,'2026-02-28 23:59:59.999999','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',1,1,0,'2026-03-01 00:00:05.999999','2026-02-28 23:59:59.999999',1);
INSERT INTO "banks_bank" VALUES(11,NULL,'1 two
lines	and a \ backslash','',0,0,1,'1999-12-31 12:00:06.000001','1999-12-31 12:00:00.000001',11);
INSERT INTO "banks_bank" VALUES(21,'2100-01-01 00:00:00','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',1,1,2147483647,'2100-01-01 00:00:06','2100-01-01 00:00:00',NULL);
CREATE TABLE "banks_character" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "archived_at" datetime NULL, "name" varchar(100) NOT NULL, "description" text NOT NULL, "enabled" bool NOT NULL, "aliases" text NOT NULL CHECK ((JSON_VALID("aliases") OR "aliases" IS NULL)), "avatar" varchar(100) NOT NULL, "task_mode" varchar(10) NOT NULL, "model" varchar(200) NOT NULL, "voice" varchar(200) NOT NULL, "prompt_text" text NOT NULL, "prompt_language" varchar(35) NOT NULL, "language" varchar(35) NOT NULL, "instruction" text NOT NULL, "speed" real NOT NULL, "options" text NOT NULL CHECK ((JSON_VALID("options") OR "options" IS NULL)), "created_at" datetime NOT NULL, "updated_at" datetime NOT NULL, "provider_id" bigint NOT NULL REFERENCES "providers_provider" ("id") DEFERRABLE INITIALLY DEFERRED, "fallback_id" bigint NULL REFERENCES "banks_character" ("id") DEFERRABLE INITIALLY DEFERRED, "reference_id" bigint NULL REFERENCES "banks_referenceaudio" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "banks_character" VALUES(1,'2026-03-01 00:00:05.999999','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',1,'{"a": [1, 2.5, null, true], "\u043a\u043b\u044e\u0447": "\u503c"}','0 “Ünïcode”, 语音 🎙','preset','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',0.1,'{"a": [1, 2.5, null, true], "\u043a\u043b\u044e\u0447": "\u503c"}','2026-02-28 23:59:59.999999','2026-03-01 00:00:00.999999',1,1,1);
INSERT INTO "banks_character" VALUES(11,NULL,'1 two
lines	and a \ backslash','',0,'{}','1 two
lines	and a \ backslash','clone','1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','','1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','',0.0,'{}','1999-12-31 12:00:00.000001','1999-12-31 12:00:01.000001',11,11,11);
INSERT INTO "banks_character" VALUES(21,'2100-01-01 00:00:06','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',1,'{"deep": {"deeper": ["\\", "\"", "\n"]}}','2 it''s 100 % "quoted"   <b>&amp;</b>','design','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b','2 it''s 100 % "quoted"   <b>&amp;</b','2 it''s 100 % "quoted"   <b>&amp;</b>',1.0e-300,'{"deep": {"deeper": ["\\", "\"", "\n"]}}','2100-01-01 00:00:00','2100-01-01 00:00:01',21,NULL,NULL);
CREATE TABLE "banks_membership" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "position" integer unsigned NOT NULL CHECK ("position" >= 0), "public_id" varchar(40) NOT NULL UNIQUE, "created_at" datetime NOT NULL, "bank_id" bigint NOT NULL REFERENCES "banks_bank" ("id") DEFERRABLE INITIALLY DEFERRED, "character_id" bigint NOT NULL REFERENCES "banks_character" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "membership_once" UNIQUE ("bank_id", "character_id"));
INSERT INTO "banks_membership" VALUES(1,0,'0 “Ünïcode”, 语音 🎙','2026-03-01 00:00:04.999999',1,1);
INSERT INTO "banks_membership" VALUES(11,1,'1 two
lines	and a \ backslash','1999-12-31 12:00:05.000001',11,11);
INSERT INTO "banks_membership" VALUES(21,2147483647,'2 it''s 100 % "quoted"   <b>&amp;</b>','2100-01-01 00:00:05',21,21);
CREATE TABLE "banks_pronunciation" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "written" varchar(200) NOT NULL, "spoken" varchar(200) NOT NULL, "is_pattern" bool NOT NULL, "language" varchar(35) NOT NULL, "match_case" bool NOT NULL, "enabled" bool NOT NULL, "bank_id" bigint NULL REFERENCES "banks_bank" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "banks_pronunciation" VALUES(1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',1,'0 “Ünïcode”, 语音 🎙',1,1,1);
INSERT INTO "banks_pronunciation" VALUES(11,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash',0,'1 two
lines	and a \ backslash',0,0,11);
INSERT INTO "banks_pronunciation" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',1,'2 it''s 100 % "quoted"   <b>&amp;</b',1,1,NULL);
CREATE TABLE "banks_referenceaudio" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(100) NOT NULL, "file" varchar(100) NOT NULL, "transcript" text NOT NULL, "language" varchar(35) NOT NULL, "consent_note" text NOT NULL, "may_be_cloned" bool NOT NULL, "duration" real NOT NULL, "peak" real NULL, "loudness" real NULL, "clipped" bool NOT NULL, "waveform" text NOT NULL CHECK ((JSON_VALID("waveform") OR "waveform" IS NULL)), "created_at" datetime NOT NULL);
INSERT INTO "banks_referenceaudio" VALUES(1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',1,0.1,0.1,0.1,1,'{"a": [1, 2.5, null, true], "\u043a\u043b\u044e\u0447": "\u503c"}','2026-03-01 00:00:04.999999');
INSERT INTO "banks_referenceaudio" VALUES(11,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','','1 two
lines	and a \ backslash','',0,0.0,NULL,NULL,0,'{}','1999-12-31 12:00:05.000001');
INSERT INTO "banks_referenceaudio" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b','2 it''s 100 % "quoted"   <b>&amp;</b>',1,1.0e-300,1.0e-300,1.0e-300,1,'{"deep": {"deeper": ["\\", "\"", "\n"]}}','2100-01-01 00:00:05');
CREATE TABLE "django_admin_log" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "object_id" text NULL, "object_repr" varchar(200) NOT NULL, "action_flag" smallint unsigned NOT NULL CHECK ("action_flag" >= 0), "change_message" text NOT NULL, "content_type_id" integer NULL REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "action_time" datetime NOT NULL);
INSERT INTO "django_admin_log" VALUES(1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',1,'0 “Ünïcode”, 语音 🎙',1,1,'2026-03-01 00:00:00.999999');
INSERT INTO "django_admin_log" VALUES(11,NULL,'1 two
lines	and a \ backslash',2,'',2,11,'1999-12-31 12:00:01.000001');
INSERT INTO "django_admin_log" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',3,'2 it''s 100 % "quoted"   <b>&amp;</b>',NULL,21,'2100-01-01 00:00:01');
CREATE TABLE "django_content_type" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app_label" varchar(100) NOT NULL, "model" varchar(100) NOT NULL);
INSERT INTO "django_content_type" VALUES(1,'admin','logentry');
INSERT INTO "django_content_type" VALUES(2,'auth','group');
INSERT INTO "django_content_type" VALUES(3,'auth','permission');
INSERT INTO "django_content_type" VALUES(4,'auth','user');
INSERT INTO "django_content_type" VALUES(5,'contenttypes','contenttype');
INSERT INTO "django_content_type" VALUES(6,'sessions','session');
INSERT INTO "django_content_type" VALUES(7,'providers','auditentry');
INSERT INTO "django_content_type" VALUES(8,'providers','cataloguemodel');
INSERT INTO "django_content_type" VALUES(9,'providers','cataloguevoice');
INSERT INTO "django_content_type" VALUES(10,'providers','chatmodel');
INSERT INTO "django_content_type" VALUES(11,'providers','configurationversion');
INSERT INTO "django_content_type" VALUES(12,'providers','healthreport');
INSERT INTO "django_content_type" VALUES(13,'providers','provider');
INSERT INTO "django_content_type" VALUES(14,'providers','usageminute');
INSERT INTO "django_content_type" VALUES(15,'banks','bank');
INSERT INTO "django_content_type" VALUES(16,'banks','character');
INSERT INTO "django_content_type" VALUES(17,'banks','membership');
INSERT INTO "django_content_type" VALUES(18,'banks','pronunciation');
INSERT INTO "django_content_type" VALUES(19,'banks','referenceaudio');
INSERT INTO "django_content_type" VALUES(20,'studio','castentry');
INSERT INTO "django_content_type" VALUES(21,'studio','desktoporigin');
INSERT INTO "django_content_type" VALUES(22,'studio','desktopsource');
INSERT INTO "django_content_type" VALUES(23,'studio','export');
INSERT INTO "django_content_type" VALUES(24,'studio','footage');
INSERT INTO "django_content_type" VALUES(25,'studio','line');
INSERT INTO "django_content_type" VALUES(26,'studio','project');
INSERT INTO "django_content_type" VALUES(27,'studio','projectpronunciation');
INSERT INTO "django_content_type" VALUES(28,'studio','readingplace');
INSERT INTO "django_content_type" VALUES(29,'studio','speakersuggestion');
INSERT INTO "django_content_type" VALUES(30,'studio','studiosettings');
INSERT INTO "django_content_type" VALUES(31,'studio','suggestionrun');
INSERT INTO "django_content_type" VALUES(32,'studio','take');
INSERT INTO "django_content_type" VALUES(33,'studio','upload');
INSERT INTO "django_content_type" VALUES(34,'api','apikey');
INSERT INTO "django_content_type" VALUES(35,'api','job');
INSERT INTO "django_content_type" VALUES(36,'api','jobitem');
INSERT INTO "django_content_type" VALUES(37,'api','preferences');
INSERT INTO "django_content_type" VALUES(38,'api','requestlog');
INSERT INTO "django_content_type" VALUES(39,'api','serversettings');
INSERT INTO "django_content_type" VALUES(40,'neiroha_site','failedsignins');
CREATE TABLE "django_migrations" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app" varchar(255) NOT NULL, "name" varchar(255) NOT NULL, "applied" datetime NOT NULL);
INSERT INTO "django_migrations" VALUES(1,'contenttypes','0001_initial','2026-11-26 03:51:40.437428');
INSERT INTO "django_migrations" VALUES(2,'auth','0001_initial','2026-11-26 03:51:42.114888');
INSERT INTO "django_migrations" VALUES(3,'admin','0001_initial','2026-11-26 03:51:42.245501');
INSERT INTO "django_migrations" VALUES(4,'admin','0002_logentry_remove_auto_add','2026-11-26 03:51:43.256595');
INSERT INTO "django_migrations" VALUES(5,'admin','0003_logentry_add_action_flag_choices','2026-11-26 03:51:45.411620');
INSERT INTO "django_migrations" VALUES(6,'contenttypes','0002_remove_content_type_name','2026-11-26 03:51:46.721906');
INSERT INTO "django_migrations" VALUES(7,'providers','0001_initial','2026-11-26 03:51:51.375827');
INSERT INTO "django_migrations" VALUES(8,'banks','0001_initial','2026-11-26 03:51:51.499720');
INSERT INTO "django_migrations" VALUES(9,'banks','0002_initial','2026-11-26 03:52:06.053498');
INSERT INTO "django_migrations" VALUES(10,'studio','0001_initial','2026-11-26 03:52:07.253817');
INSERT INTO "django_migrations" VALUES(11,'studio','0002_projects','2026-11-26 03:52:53.226940');
INSERT INTO "django_migrations" VALUES(12,'studio','0003_project_pronunciation','2026-11-26 03:52:56.249900');
INSERT INTO "django_migrations" VALUES(13,'api','0001_initial','2026-11-26 03:52:56.350931');
INSERT INTO "django_migrations" VALUES(14,'api','0002_initial','2026-11-26 03:53:07.070360');
INSERT INTO "django_migrations" VALUES(15,'api','0003_jobs','2026-11-26 03:53:15.743033');
INSERT INTO "django_migrations" VALUES(16,'auth','0002_alter_permission_name_max_length','2026-11-26 03:53:16.605819');
INSERT INTO "django_migrations" VALUES(17,'auth','0003_alter_user_email_max_length','2026-11-26 03:53:16.943755');
INSERT INTO "django_migrations" VALUES(18,'auth','0004_alter_user_username_opts','2026-11-26 03:53:17.319865');
INSERT INTO "django_migrations" VALUES(19,'auth','0005_alter_user_last_login_null','2026-11-26 03:53:17.816315');
INSERT INTO "django_migrations" VALUES(20,'auth','0006_require_contenttypes_0002','2026-11-26 03:53:17.852893');
INSERT INTO "django_migrations" VALUES(21,'auth','0007_alter_validators_add_error_messages','2026-11-26 03:53:18.407665');
INSERT INTO "django_migrations" VALUES(22,'auth','0008_alter_user_username_max_length','2026-11-26 03:53:19.664584');
INSERT INTO "django_migrations" VALUES(23,'auth','0009_alter_user_last_name_max_length','2026-11-26 03:53:20.526209');
INSERT INTO "django_migrations" VALUES(24,'auth','0010_alter_group_name_max_length','2026-11-26 03:53:22.115092');
INSERT INTO "django_migrations" VALUES(25,'auth','0011_update_proxy_permissions','2026-11-26 03:53:24.927556');
INSERT INTO "django_migrations" VALUES(26,'auth','0012_alter_user_first_name_max_length','2026-11-26 03:53:25.861608');
INSERT INTO "django_migrations" VALUES(27,'banks','0003_pronunciation','2026-11-26 03:53:28.973951');
INSERT INTO "django_migrations" VALUES(28,'neiroha_site','0001_initial','2026-11-26 03:53:29.212485');
INSERT INTO "django_migrations" VALUES(29,'providers','0002_chat_model','2026-11-26 03:53:29.345715');
INSERT INTO "django_migrations" VALUES(30,'sessions','0001_initial','2026-11-26 03:53:29.657414');
INSERT INTO "django_migrations" VALUES(31,'studio','0004_novels_and_footage','2026-11-26 03:54:28.710384');
INSERT INTO "django_migrations" VALUES(32,'studio','0005_reading_ahead','2026-11-26 03:54:29.547256');
INSERT INTO "django_migrations" VALUES(33,'studio','0006_speaker_suggestions','2026-11-26 03:55:04.527836');
INSERT INTO "django_migrations" VALUES(34,'studio','0007_desktop_origins','2026-11-26 03:55:07.305796');
INSERT INTO "django_migrations" VALUES(35,'studio','0008_video_quota','2026-11-26 03:55:12.243760');
CREATE TABLE "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, "session_data" text NOT NULL, "expire_date" datetime NOT NULL);
INSERT INTO "django_session" VALUES('00123456789abcdef0123456789abcde','0 “Ünïcode”, 语音 🎙','2026-03-01 00:00:02.999999');
INSERT INTO "django_session" VALUES('10123456789abcdef0123456789abcde','1 two
lines	and a \ backslash','1999-12-31 12:00:03.000001');
INSERT INTO "django_session" VALUES('20123456789abcdef0123456789abcde','2 it''s 100 % "quoted"   <b>&amp;</b>','2100-01-01 00:00:03');
CREATE TABLE "neiroha_site_failedsignins" ("key" varchar(64) NOT NULL PRIMARY KEY, "count" integer unsigned NOT NULL CHECK ("count" >= 0), "last_at" datetime NOT NULL);
INSERT INTO "neiroha_site_failedsignins" VALUES('00123456789abcdef0123456789abcde',0,'2026-03-01 00:00:04.999999');
INSERT INTO "neiroha_site_failedsignins" VALUES('10123456789abcdef0123456789abcde',1,'1999-12-31 12:00:05.000001');
INSERT INTO "neiroha_site_failedsignins" VALUES('20123456789abcdef0123456789abcde',2147483647,'2100-01-01 00:00:05');
CREATE TABLE "providers_auditentry" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "at" datetime NOT NULL, "user_name" varchar(150) NOT NULL, "change" varchar(20) NOT NULL, "object_id" varchar(64) NOT NULL, "object_name" varchar(200) NOT NULL, "message" text NOT NULL, "address" varchar(45) NOT NULL, "content_type_id" integer NULL REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" integer NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "providers_auditentry" VALUES(1,'2026-03-01 00:00:04.999999','0 “Ünïcode”, 语音 🎙','added','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',1,1);
INSERT INTO "providers_auditentry" VALUES(11,'1999-12-31 12:00:05.000001','1 two
lines	and a \ backslash','changed','1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','','1 two
lines	and a \ backslash',2,11);
INSERT INTO "providers_auditentry" VALUES(21,'2100-01-01 00:00:05','2 it''s 100 % "quoted"   <b>&amp;</b>','deleted','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',NULL,NULL);
CREATE TABLE "providers_cataloguemodel" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "external_id" varchar(200) NOT NULL, "name" varchar(200) NOT NULL, "by_hand" bool NOT NULL, "vanished_at" datetime NULL, "provider_id" bigint NOT NULL REFERENCES "providers_provider" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "catalogue_model_once" UNIQUE ("provider_id", "external_id"));
INSERT INTO "providers_cataloguemodel" VALUES(1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',1,'2026-03-01 00:00:05.999999',1);
INSERT INTO "providers_cataloguemodel" VALUES(11,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash',0,NULL,11);
INSERT INTO "providers_cataloguemodel" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',1,'2100-01-01 00:00:06',21);
CREATE TABLE "providers_cataloguevoice" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "external_id" varchar(200) NOT NULL, "name" varchar(200) NOT NULL, "by_hand" bool NOT NULL, "vanished_at" datetime NULL, "language" varchar(100) NOT NULL, "gender" varchar(20) NOT NULL, "description" text NOT NULL, "styles" text NOT NULL CHECK ((JSON_VALID("styles") OR "styles" IS NULL)), "model" varchar(200) NOT NULL, "task_mode" varchar(10) NOT NULL, "provider_id" bigint NOT NULL REFERENCES "providers_provider" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "catalogue_voice_once" UNIQUE ("provider_id", "external_id"));
INSERT INTO "providers_cataloguevoice" VALUES(1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',1,'2026-03-01 00:00:01.999999','0 “Ünïcode”, 语音 🎙','0','0 “Ünïcode”, 语音 🎙','{"a": [1, 2.5, null, true], "\u043a\u043b\u044e\u0447": "\u503c"}','0 “Ünïcode”, 语音 🎙','0',1);
INSERT INTO "providers_cataloguevoice" VALUES(11,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash',0,NULL,'1 two
lines	and a \ backslash','1','','{}','1 two
lines	and a \ backslash','1',11);
INSERT INTO "providers_cataloguevoice" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',1,'2100-01-01 00:00:02','2 it''s 100 % "quoted"   <b>&amp;</b>','2','2 it''s 100 % "quoted"   <b>&amp;</b>','{"deep": {"deeper": ["\\", "\"", "\n"]}}','2 it''s 100 % "quoted"   <b>&amp;</b>','2',21);
CREATE TABLE "providers_chatmodel" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "enabled" bool NOT NULL, "base_url" varchar(500) NOT NULL, "model" varchar(200) NOT NULL, "api_key" text NOT NULL, "answer_format" varchar(20) NOT NULL, "json_refused" bool NOT NULL, "window_characters" integer unsigned NOT NULL CHECK ("window_characters" >= 0), "max_concurrency" smallint unsigned NOT NULL CHECK ("max_concurrency" >= 0), "requests_per_minute" integer unsigned NOT NULL CHECK ("requests_per_minute" >= 0), "requests_per_day" integer unsigned NOT NULL CHECK ("requests_per_day" >= 0), "time_zone" varchar(64) NOT NULL, "timeout_seconds" integer unsigned NOT NULL CHECK ("timeout_seconds" >= 0), "checked_at" datetime NULL, "latency_ms" integer unsigned NOT NULL CHECK ("latency_ms" >= 0), "problem" varchar(500) NOT NULL);
INSERT INTO "providers_chatmodel" VALUES(1,1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','gAAAAABrB6516NloLVC_c49hoWjIbGtUUkyd4DjIIbnTwGzHw2roIR1b0o5jx1MjvGjYcX8hsd3573Wvj3oeVgKZBF01ugoAgQ==','json_object',1,0,0,0,0,'0 “Ünïcode”, 语音 🎙',0,'2026-03-01 00:00:03.999999',0,'0 “Ünïcode”, 语音 🎙');
INSERT INTO "providers_chatmodel" VALUES(11,0,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','gAAAAABrB651PlB8qxupyTjSzhTPiXfi8RkDW8AD86smsWdxDHH3QIGGyN2gmiv3Fzc0njEktj8Lllc3sYsppoHsMpvVxw4Sig==','json_schema',0,1,1,1,1,'1 two
lines	and a \ backslash',1,NULL,1,'1 two
lines	and a \ backslash');
INSERT INTO "providers_chatmodel" VALUES(21,1,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','gAAAAABrB6519H86wNgnlRH4hhH6A3OjzfKSkB10B2hoFAijiuewBA_Ehp7Kbnwj2DhkvAoqi__1t-dNCkPLaQSzhyxPhFeUpw==','text',1,2147483647,32767,2147483647,2147483647,'2 it''s 100 % "quoted"   <b>&amp;</b>',2147483647,'2100-01-01 00:00:04',2147483647,'2 it''s 100 % "quoted"   <b>&amp;</b>');
CREATE TABLE "providers_configurationversion" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "number" bigint unsigned NOT NULL CHECK ("number" >= 0));
INSERT INTO "providers_configurationversion" VALUES(1,0);
INSERT INTO "providers_configurationversion" VALUES(11,9007199254740993);
INSERT INTO "providers_configurationversion" VALUES(21,9223372036854775807);
CREATE TABLE "providers_healthreport" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "checked_at" datetime NOT NULL, "latency_ms" integer unsigned NOT NULL CHECK ("latency_ms" >= 0), "reachable" bool NOT NULL, "reason" varchar(500) NOT NULL, "key_accepted" bool NULL, "right_kind" bool NULL, "model_loaded" bool NULL, "admin_url" varchar(500) NOT NULL, "provider_id" bigint NOT NULL UNIQUE REFERENCES "providers_provider" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "providers_healthreport" VALUES(1,'2026-03-01 00:00:03.999999',0,1,'0 “Ünïcode”, 语音 🎙',1,1,1,'0 “Ünïcode”, 语音 🎙',1);
INSERT INTO "providers_healthreport" VALUES(11,'1999-12-31 12:00:04.000001',1,0,'1 two
lines	and a \ backslash',NULL,NULL,NULL,'1 two
lines	and a \ backslash',11);
INSERT INTO "providers_healthreport" VALUES(21,'2100-01-01 00:00:04',2147483647,1,'2 it''s 100 % "quoted"   <b>&amp;</b>',1,1,1,'2 it''s 100 % "quoted"   <b>&amp;</b>',21);
CREATE TABLE "providers_provider" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "archived_at" datetime NULL, "name" varchar(100) NOT NULL, "kind" varchar(40) NOT NULL, "base_url" varchar(500) NOT NULL, "api_key" text NOT NULL, "enabled" bool NOT NULL, "position" integer unsigned NOT NULL CHECK ("position" >= 0), "max_concurrency" smallint unsigned NOT NULL CHECK ("max_concurrency" >= 0), "requests_per_minute" integer unsigned NOT NULL CHECK ("requests_per_minute" >= 0), "tokens_per_minute" integer unsigned NOT NULL CHECK ("tokens_per_minute" >= 0), "requests_per_day" integer unsigned NOT NULL CHECK ("requests_per_day" >= 0), "tokens_per_day" integer unsigned NOT NULL CHECK ("tokens_per_day" >= 0), "time_zone" varchar(64) NOT NULL, "timeout_seconds" integer unsigned NOT NULL CHECK ("timeout_seconds" >= 0), "piece_characters" integer unsigned NOT NULL CHECK ("piece_characters" >= 0), "options" text NOT NULL CHECK ((JSON_VALID("options") OR "options" IS NULL)), "created_at" datetime NOT NULL, "updated_at" datetime NOT NULL);
INSERT INTO "providers_provider" VALUES(1,'2026-02-28 23:59:59.999999','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','gAAAAABrB652IQP-I5bt0rayuLG3A1xLwZ6DNs-C3vOEKCws0en-gTfp6ybvmaPDsapnoaG4whaA89eACi9o2MlRmzD2lF1KAw==',1,0,0,0,0,0,0,'0 “Ünïcode”, 语音 🎙',0,0,'{"a": [1, 2.5, null, true], "\u043a\u043b\u044e\u0447": "\u503c"}','2026-03-01 00:00:01.999999','2026-03-01 00:00:02.999999');
INSERT INTO "providers_provider" VALUES(11,NULL,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','gAAAAABrB652-1yy-LV6GzfTIM_TqER1UCX0anic1IdHF9lCinKYQ1N-FQOMPrfBEiItGwQd1uSkqqb4SKwkxfkm5W-0nHv_3A==',0,1,1,1,1,1,1,'1 two
lines	and a \ backslash',1,1,'{}','1999-12-31 12:00:02.000001','1999-12-31 12:00:03.000001');
INSERT INTO "providers_provider" VALUES(21,'2100-01-01 00:00:00','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','gAAAAABrB652NHi0x2DfGDd5b5oxKxmU6dsbTCP-toh5fGg1sH2Bn62lFYEke-0yMTT4dOz2_4O72SMjJ6wE0qv8EVGtzPi5VA==',1,2147483647,32767,2147483647,2147483647,2147483647,2147483647,'2 it''s 100 % "quoted"   <b>&amp;</b>',2147483647,2147483647,'{"deep": {"deeper": ["\\", "\"", "\n"]}}','2100-01-01 00:00:02','2100-01-01 00:00:03');
CREATE TABLE "providers_usageminute" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "minute" datetime NOT NULL, "requests" integer unsigned NOT NULL CHECK ("requests" >= 0), "tokens" bigint unsigned NOT NULL CHECK ("tokens" >= 0), "characters" bigint unsigned NOT NULL CHECK ("characters" >= 0), "provider_id" bigint NOT NULL, CONSTRAINT "usage_minute_once" UNIQUE ("provider_id", "minute"));
INSERT INTO "providers_usageminute" VALUES(1,'2026-03-01 00:00:00.999999',0,0,0,1);
INSERT INTO "providers_usageminute" VALUES(11,'1999-12-31 12:00:01.000001',1,9007199254740993,9007199254740993,11);
INSERT INTO "providers_usageminute" VALUES(21,'2100-01-01 00:00:01',2147483647,9223372036854775807,9223372036854775807,21);
CREATE TABLE "studio_castentry" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "speaker" varchar(100) NOT NULL, "character_id" bigint NOT NULL REFERENCES "banks_character" ("id") DEFERRABLE INITIALLY DEFERRED, "project_id" bigint NOT NULL REFERENCES "studio_project" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "cast_once" UNIQUE ("project_id", "speaker"));
INSERT INTO "studio_castentry" VALUES(1,'0 “Ünïcode”, 语音 🎙',1,1);
INSERT INTO "studio_castentry" VALUES(11,'1 two
lines	and a \ backslash',11,11);
INSERT INTO "studio_castentry" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>',21,21);
CREATE TABLE "studio_desktoporigin" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "table" varchar(60) NOT NULL, "original_id" varchar(200) NOT NULL, "object_id" bigint NOT NULL, "source_id" bigint NOT NULL REFERENCES "studio_desktopsource" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "desktop_origin_once" UNIQUE ("source_id", "table", "original_id"));
INSERT INTO "studio_desktoporigin" VALUES(1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',0,1);
INSERT INTO "studio_desktoporigin" VALUES(11,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash',9007199254740993,11);
INSERT INTO "studio_desktoporigin" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',9223372036854775807,21);
CREATE TABLE "studio_desktopsource" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "fingerprint" varchar(64) NOT NULL UNIQUE, "name" varchar(255) NOT NULL, "imported_at" datetime NOT NULL);
INSERT INTO "studio_desktopsource" VALUES(1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','2026-03-01 00:00:04.999999');
INSERT INTO "studio_desktopsource" VALUES(11,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','1999-12-31 12:00:05.000001');
INSERT INTO "studio_desktopsource" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2100-01-01 00:00:05');
CREATE TABLE "studio_export" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "options_json" text NOT NULL CHECK ((JSON_VALID("options_json") OR "options_json" IS NULL)), "state" varchar(10) NOT NULL, "progress" real NOT NULL, "file" varchar(100) NOT NULL, "size" bigint unsigned NOT NULL CHECK ("size" >= 0), "duration" real NULL, "error_code" varchar(60) NOT NULL, "error" text NOT NULL, "created_at" datetime NOT NULL, "started_at" datetime NULL, "finished_at" datetime NULL, "owner_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "project_id" bigint NOT NULL REFERENCES "studio_project" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "export_done_has_file" CHECK (NOT ("file" = '' AND "state" = 'done')));
INSERT INTO "studio_export" VALUES(1,'{"a": [1, 2.5, null, true], "\u043a\u043b\u044e\u0447": "\u503c"}','queued',0.1,'0 “Ünïcode”, 语音 🎙',0,0.1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','2026-03-01 00:00:00.999999','2026-03-01 00:00:01.999999','2026-03-01 00:00:02.999999',1,1);
INSERT INTO "studio_export" VALUES(11,'{}','running',0.0,'1 two
lines	and a \ backslash',9007199254740993,NULL,'1 two
lines	and a \ backslash','','1999-12-31 12:00:01.000001',NULL,NULL,11,11);
INSERT INTO "studio_export" VALUES(21,'{"deep": {"deeper": ["\\", "\"", "\n"]}}','done',1.0e-300,'2 it''s 100 % "quoted"   <b>&amp;</b>',9223372036854775807,1.0e-300,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2100-01-01 00:00:01','2100-01-01 00:00:02','2100-01-01 00:00:03',21,21);
CREATE TABLE "studio_footage" ("project_id" bigint NOT NULL PRIMARY KEY REFERENCES "studio_project" ("id") DEFERRABLE INITIALLY DEFERRED, "file" varchar(100) NOT NULL, "name" varchar(255) NOT NULL, "size" bigint unsigned NOT NULL CHECK ("size" >= 0), "duration" real NOT NULL, "frame_rate" real NULL, "has_sound" bool NOT NULL, "sound" varchar(10) NOT NULL, "duck_db" real NOT NULL, "stretch_most" real NOT NULL, "added_at" datetime NOT NULL);
INSERT INTO "studio_footage" VALUES(1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',0,0.1,0.1,1,'keep',0.1,0.1,'2026-03-01 00:00:02.999999');
INSERT INTO "studio_footage" VALUES(11,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash',9007199254740993,0.0,NULL,0,'duck',0.0,0.0,'1999-12-31 12:00:03.000001');
INSERT INTO "studio_footage" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',9223372036854775807,1.0e-300,1.0e-300,1,'off',1.0e-300,1.0e-300,'2100-01-01 00:00:03');
CREATE TABLE "studio_line" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "position" bigint NOT NULL, "text" text NOT NULL, "speaker" varchar(100) NOT NULL, "instruction" varchar(2000) NOT NULL, "speed" real NOT NULL, "chapter" varchar(200) NOT NULL, "wanted" varchar(64) NOT NULL, "revision" integer unsigned NOT NULL CHECK ("revision" >= 0), "attempt_id" bigint NULL REFERENCES "studio_take" ("id") DEFERRABLE INITIALLY DEFERRED, "character_id" bigint NULL REFERENCES "banks_character" ("id") DEFERRABLE INITIALLY DEFERRED, "take_id" bigint NULL REFERENCES "studio_take" ("id") DEFERRABLE INITIALLY DEFERRED, "project_id" bigint NOT NULL REFERENCES "studio_project" ("id") DEFERRABLE INITIALLY DEFERRED, "end_ms" integer unsigned NULL CHECK ("end_ms" >= 0), "start_ms" integer unsigned NULL CHECK ("start_ms" >= 0), CONSTRAINT "line_ends_after_start" CHECK ((("end_ms" IS NULL AND "start_ms" IS NULL) OR "start_ms" < ("end_ms"))));
INSERT INTO "studio_line" VALUES(1,0,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',0.1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',0,1,1,1,1,2147483647,0);
INSERT INTO "studio_line" VALUES(11,9007199254740993,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','1 two
lines	and a \ backslash',0.0,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash',1,11,11,11,11,NULL,NULL);
INSERT INTO "studio_line" VALUES(21,9223372036854775807,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',1.0e-300,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',2147483647,NULL,NULL,NULL,21,2147483647,2);
CREATE TABLE "studio_project" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(100) NOT NULL, "kind" varchar(20) NOT NULL, "language" varchar(35) NOT NULL, "format" varchar(10) NOT NULL, "reuse" bool NOT NULL, "fingerprint" varchar(64) NOT NULL, "created_at" datetime NOT NULL, "changed_at" datetime NOT NULL, "bank_id" bigint NULL REFERENCES "banks_bank" ("id") DEFERRABLE INITIALLY DEFERRED, "owner_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "author" varchar(200) NOT NULL, "cover" varchar(100) NOT NULL);
INSERT INTO "studio_project" VALUES(1,'0 “Ünïcode”, 语音 🎙','0','0 “Ünïcode”, 语音 🎙','mp3',1,'0 “Ünïcode”, 语音 🎙','2026-03-01 00:00:04.999999','2026-03-01 00:00:05.999999',1,1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙');
INSERT INTO "studio_project" VALUES(11,'1 two
lines	and a \ backslash','1','1 two
lines	and a \ backslash','opus',0,'1 two
lines	and a \ backslash','1999-12-31 12:00:05.000001','1999-12-31 12:00:06.000001',11,11,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash');
INSERT INTO "studio_project" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>','2','2 it''s 100 % "quoted"   <b>&amp;</b','aac',1,'2 it''s 100 % "quoted"   <b>&amp;</b>','2100-01-01 00:00:05','2100-01-01 00:00:06',NULL,21,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>');
CREATE TABLE "studio_project_members" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "project_id" bigint NOT NULL REFERENCES "studio_project" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "studio_project_members" VALUES(1,1,1);
INSERT INTO "studio_project_members" VALUES(11,11,11);
INSERT INTO "studio_project_members" VALUES(21,21,21);
CREATE TABLE "studio_projectpronunciation" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "written" varchar(200) NOT NULL, "spoken" varchar(200) NOT NULL, "is_pattern" bool NOT NULL, "language" varchar(35) NOT NULL, "match_case" bool NOT NULL, "enabled" bool NOT NULL, "project_id" bigint NOT NULL REFERENCES "studio_project" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "studio_projectpronunciation" VALUES(1,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',1,'0 “Ünïcode”, 语音 🎙',1,1,1);
INSERT INTO "studio_projectpronunciation" VALUES(11,'1 two
lines	and a \ backslash','1 two
lines	and a \ backslash',0,'1 two
lines	and a \ backslash',0,0,11);
INSERT INTO "studio_projectpronunciation" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',1,'2 it''s 100 % "quoted"   <b>&amp;</b',1,1,21);
CREATE TABLE "studio_readingplace" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "speed" real NOT NULL, "changed_at" datetime NOT NULL, "line_id" bigint NULL REFERENCES "studio_line" ("id") DEFERRABLE INITIALLY DEFERRED, "project_id" bigint NOT NULL REFERENCES "studio_project" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "reading_place_once" UNIQUE ("user_id", "project_id"));
INSERT INTO "studio_readingplace" VALUES(1,0.1,'2026-03-01 00:00:04.999999',1,1,1);
INSERT INTO "studio_readingplace" VALUES(11,0.0,'1999-12-31 12:00:05.000001',11,11,11);
INSERT INTO "studio_readingplace" VALUES(21,1.0e-300,'2100-01-01 00:00:05',NULL,21,21);
CREATE TABLE "studio_speakersuggestion" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "speaker" varchar(100) NOT NULL, "confidence" real NOT NULL, "revision" integer unsigned NOT NULL CHECK ("revision" >= 0), "created_at" datetime NOT NULL, "line_id" bigint NOT NULL UNIQUE REFERENCES "studio_line" ("id") DEFERRABLE INITIALLY DEFERRED, "project_id" bigint NOT NULL REFERENCES "studio_project" ("id") DEFERRABLE INITIALLY DEFERRED, "run_id" bigint NOT NULL REFERENCES "studio_suggestionrun" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "studio_speakersuggestion" VALUES(1,'0 “Ünïcode”, 语音 🎙',0.1,0,'2026-03-01 00:00:05.999999',1,1,1);
INSERT INTO "studio_speakersuggestion" VALUES(11,'1 two
lines	and a \ backslash',0.0,1,'1999-12-31 12:00:06.000001',11,11,11);
INSERT INTO "studio_speakersuggestion" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>',1.0e-300,2147483647,'2100-01-01 00:00:06',21,21,21);
CREATE TABLE "studio_studiosettings" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "retention_days" integer unsigned NOT NULL CHECK ("retention_days" >= 0), "quota_mb" integer unsigned NOT NULL CHECK ("quota_mb" >= 0), "max_text_characters" integer unsigned NOT NULL CHECK ("max_text_characters" >= 0), "read_ahead" smallint unsigned NOT NULL CHECK ("read_ahead" >= 0), "video_quota_mb" integer unsigned NOT NULL CHECK ("video_quota_mb" >= 0));
INSERT INTO "studio_studiosettings" VALUES(1,0,0,0,0,0);
INSERT INTO "studio_studiosettings" VALUES(11,1,1,1,1,1);
INSERT INTO "studio_studiosettings" VALUES(21,2147483647,2147483647,2147483647,32767,2147483647);
CREATE TABLE "studio_suggestionrun" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "scope" varchar(10) NOT NULL, "narrator" varchar(100) NOT NULL, "sent_to" varchar(500) NOT NULL, "state" varchar(10) NOT NULL, "reached" bigint NOT NULL, "lines" integer unsigned NOT NULL CHECK ("lines" >= 0), "done" integer unsigned NOT NULL CHECK ("done" >= 0), "requests" integer unsigned NOT NULL CHECK ("requests" >= 0), "error_code" varchar(60) NOT NULL, "error" text NOT NULL, "created_at" datetime NOT NULL, "started_at" datetime NULL, "finished_at" datetime NULL, "owner_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "project_id" bigint NOT NULL REFERENCES "studio_project" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "studio_suggestionrun" VALUES(1,'unnamed','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','queued',0,0,0,0,'0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','2026-03-01 00:00:04.999999','2026-03-01 00:00:05.999999','2026-02-28 23:59:59.999999',1,1);
INSERT INTO "studio_suggestionrun" VALUES(11,'all','1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','running',9007199254740993,1,1,1,'1 two
lines	and a \ backslash','','1999-12-31 12:00:05.000001',NULL,NULL,11,11);
INSERT INTO "studio_suggestionrun" VALUES(21,'unnamed','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','done',9223372036854775807,2147483647,2147483647,2147483647,'2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2100-01-01 00:00:05','2100-01-01 00:00:06','2100-01-01 00:00:00',21,21);
CREATE TABLE "studio_take" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "text" text NOT NULL, "made_with_json" text NOT NULL CHECK ((JSON_VALID("made_with_json") OR "made_with_json" IS NULL)), "format" varchar(10) NOT NULL, "state" varchar(10) NOT NULL, "file" varchar(100) NOT NULL, "size" bigint unsigned NOT NULL CHECK ("size" >= 0), "duration" real NULL, "sample_rate" integer unsigned NULL CHECK ("sample_rate" >= 0), "waveform" text NOT NULL CHECK ((JSON_VALID("waveform") OR "waveform" IS NULL)), "spoken_by" varchar(100) NOT NULL, "error_code" varchar(60) NOT NULL, "error" text NOT NULL, "retry_helps" bool NOT NULL, "queue_ms" integer unsigned NULL CHECK ("queue_ms" >= 0), "inference_ms" integer unsigned NULL CHECK ("inference_ms" >= 0), "kept" bool NOT NULL, "created_at" datetime NOT NULL, "started_at" datetime NULL, "finished_at" datetime NULL, "character_id" bigint NULL REFERENCES "banks_character" ("id") DEFERRABLE INITIALLY DEFERRED, "owner_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "attempts" smallint unsigned NOT NULL CHECK ("attempts" >= 0), "claim" varchar(16) NOT NULL, "content_hash" varchar(64) NOT NULL, "priority" smallint unsigned NOT NULL CHECK ("priority" >= 0), "provider_id" bigint NULL REFERENCES "providers_provider" ("id") DEFERRABLE INITIALLY DEFERRED, "spoken" text NOT NULL, "line_id" bigint NULL REFERENCES "studio_line" ("id") DEFERRABLE INITIALLY DEFERRED, "project_id" bigint NULL REFERENCES "studio_project" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "take_done_has_file" CHECK (NOT ("file" = '' AND "state" = 'done')));
INSERT INTO "studio_take" VALUES(1,'0 “Ünïcode”, 语音 🎙','{"a": [1, 2.5, null, true], "\u043a\u043b\u044e\u0447": "\u503c"}','mp3','queued','0 “Ünïcode”, 语音 🎙',0,0.1,0,'{"a": [1, 2.5, null, true], "\u043a\u043b\u044e\u0447": "\u503c"}','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙','0 “Ünïcode”, 语音 🎙',1,0,0,1,'2026-03-01 00:00:04.999999','2026-03-01 00:00:05.999999','2026-02-28 23:59:59.999999',1,1,0,'0','0 “Ünïcode”, 语音 🎙',0,1,'0 “Ünïcode”, 语音 🎙',1,1);
INSERT INTO "studio_take" VALUES(11,'1 two
lines	and a \ backslash','{}','opus','running','1 two
lines	and a \ backslash',9007199254740993,NULL,NULL,'{}','1 two
lines	and a \ backslash','1 two
lines	and a \ backslash','',0,NULL,NULL,0,'1999-12-31 12:00:05.000001',NULL,NULL,11,11,1,'1','1 two
lines	and a \ backslash',1,11,'',11,11);
INSERT INTO "studio_take" VALUES(21,'2 it''s 100 % "quoted"   <b>&amp;</b>','{"deep": {"deeper": ["\\", "\"", "\n"]}}','aac','done','2 it''s 100 % "quoted"   <b>&amp;</b>',9223372036854775807,1.0e-300,2147483647,'{"deep": {"deeper": ["\\", "\"", "\n"]}}','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>','2 it''s 100 % "quoted"   <b>&amp;</b>',1,2147483647,2147483647,1,'2100-01-01 00:00:05','2100-01-01 00:00:06','2100-01-01 00:00:00',NULL,21,32767,'2','2 it''s 100 % "quoted"   <b>&amp;</b>',0,NULL,'2 it''s 100 % "quoted"   <b>&amp;</b>',NULL,NULL);
CREATE TABLE "studio_upload" ("token" varchar(32) NOT NULL PRIMARY KEY, "name" varchar(255) NOT NULL, "size" bigint unsigned NOT NULL CHECK ("size" >= 0), "received" bigint unsigned NOT NULL CHECK ("received" >= 0), "changed_at" datetime NOT NULL, "owner_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "project_id" bigint NOT NULL REFERENCES "studio_project" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "studio_upload" VALUES('00123456789abcdef0123456789abcde','0 “Ünïcode”, 语音 🎙',0,0,'2026-03-01 00:00:05.999999',1,1);
INSERT INTO "studio_upload" VALUES('10123456789abcdef0123456789abcde','1 two
lines	and a \ backslash',9007199254740993,9007199254740993,'1999-12-31 12:00:06.000001',11,11);
INSERT INTO "studio_upload" VALUES('20123456789abcdef0123456789abcde','2 it''s 100 % "quoted"   <b>&amp;</b>',9223372036854775807,9223372036854775807,'2100-01-01 00:00:06',21,21);
CREATE UNIQUE INDEX "auth_group_permissions_group_id_permission_id_0cd325b0_uniq" ON "auth_group_permissions" ("group_id", "permission_id");
CREATE INDEX "auth_group_permissions_group_id_b120cbf9" ON "auth_group_permissions" ("group_id");
CREATE INDEX "auth_group_permissions_permission_id_84c5c92e" ON "auth_group_permissions" ("permission_id");
CREATE UNIQUE INDEX "auth_user_groups_user_id_group_id_94350c0c_uniq" ON "auth_user_groups" ("user_id", "group_id");
CREATE INDEX "auth_user_groups_user_id_6a12ed8b" ON "auth_user_groups" ("user_id");
CREATE INDEX "auth_user_groups_group_id_97559544" ON "auth_user_groups" ("group_id");
CREATE UNIQUE INDEX "auth_user_user_permissions_user_id_permission_id_14a6b632_uniq" ON "auth_user_user_permissions" ("user_id", "permission_id");
CREATE INDEX "auth_user_user_permissions_user_id_a95ead1b" ON "auth_user_user_permissions" ("user_id");
CREATE INDEX "auth_user_user_permissions_permission_id_1fbb5f2c" ON "auth_user_user_permissions" ("permission_id");
CREATE INDEX "django_admin_log_content_type_id_c4bce8eb" ON "django_admin_log" ("content_type_id");
CREATE INDEX "django_admin_log_user_id_c564eba6" ON "django_admin_log" ("user_id");
CREATE UNIQUE INDEX "django_content_type_app_label_model_76bd3d3b_uniq" ON "django_content_type" ("app_label", "model");
CREATE INDEX "providers_auditentry_at_5dd0bbf1" ON "providers_auditentry" ("at");
CREATE INDEX "providers_auditentry_user_name_2449f940" ON "providers_auditentry" ("user_name");
CREATE INDEX "providers_auditentry_content_type_id_e0ad764f" ON "providers_auditentry" ("content_type_id");
CREATE INDEX "providers_auditentry_user_id_a3ed41cb" ON "providers_auditentry" ("user_id");
CREATE UNIQUE INDEX "provider_name_unique" ON "providers_provider" ((LOWER("name"))) WHERE "archived_at" IS NULL;
CREATE INDEX "providers_cataloguevoice_provider_id_cdc8a37f" ON "providers_cataloguevoice" ("provider_id");
CREATE INDEX "providers_cataloguemodel_provider_id_d7949ac9" ON "providers_cataloguemodel" ("provider_id");
CREATE INDEX "providers_usageminute_minute_01c18562" ON "providers_usageminute" ("minute");
CREATE INDEX "providers_usageminute_provider_id_4f6419b2" ON "providers_usageminute" ("provider_id");
CREATE INDEX "banks_character_provider_id_b2590e63" ON "banks_character" ("provider_id");
CREATE INDEX "banks_character_fallback_id_c066a1ff" ON "banks_character" ("fallback_id");
CREATE INDEX "banks_bank_default_character_id_a4e19a4f" ON "banks_bank" ("default_character_id");
CREATE INDEX "banks_character_reference_id_c90968d1" ON "banks_character" ("reference_id");
CREATE INDEX "banks_membership_bank_id_6ffe13d8" ON "banks_membership" ("bank_id");
CREATE INDEX "banks_membership_character_id_589cfec1" ON "banks_membership" ("character_id");
CREATE UNIQUE INDEX "bank_name_unique" ON "banks_bank" ((LOWER("name"))) WHERE "archived_at" IS NULL;
CREATE INDEX "studio_take_character_id_86d40284" ON "studio_take" ("character_id");
CREATE INDEX "studio_take_owner_id_d3aaea24" ON "studio_take" ("owner_id");
CREATE INDEX "studio_take_provider_id_8da1e64c" ON "studio_take" ("provider_id");
CREATE INDEX "take_of_owner" ON "studio_take" ("owner_id", "created_at" DESC, "id" DESC);
CREATE INDEX "take_newest" ON "studio_take" ("created_at" DESC, "id" DESC);
CREATE INDEX "take_quota" ON "studio_take" ("owner_id", "size");
CREATE INDEX "take_characters" ON "studio_take" ("owner_id", "character_id");
CREATE INDEX "take_retention" ON "studio_take" ("kept", "created_at");
CREATE INDEX "take_file" ON "studio_take" ("file");
CREATE INDEX "studio_take_line_id_600b3dbe" ON "studio_take" ("line_id");
CREATE UNIQUE INDEX "studio_project_members_project_id_user_id_b287f10d_uniq" ON "studio_project_members" ("project_id", "user_id");
CREATE INDEX "studio_project_members_project_id_2711a1ae" ON "studio_project_members" ("project_id");
CREATE INDEX "studio_project_members_user_id_23709b54" ON "studio_project_members" ("user_id");
CREATE INDEX "take_turns" ON "studio_take" ("state", "priority", "provider_id", "id");
CREATE INDEX "take_of_project" ON "studio_take" ("project_id", "state", "finished_at");
CREATE INDEX "take_content" ON "studio_take" ("project_id", "content_hash");
CREATE INDEX "studio_take_project_id_8d770987" ON "studio_take" ("project_id");
CREATE INDEX "studio_export_owner_id_08dba4f8" ON "studio_export" ("owner_id");
CREATE INDEX "studio_export_project_id_4f7827ce" ON "studio_export" ("project_id");
CREATE INDEX "export_state" ON "studio_export" ("state", "id");
CREATE INDEX "export_quota" ON "studio_export" ("owner_id", "size");
CREATE INDEX "export_file" ON "studio_export" ("file");
CREATE INDEX "studio_castentry_character_id_03840210" ON "studio_castentry" ("character_id");
CREATE INDEX "studio_castentry_project_id_69462496" ON "studio_castentry" ("project_id");
CREATE UNIQUE INDEX "project_pronunciation_once" ON "studio_projectpronunciation" ("project_id", "written", (LOWER("language")));
CREATE INDEX "studio_projectpronunciation_project_id_bba40304" ON "studio_projectpronunciation" ("project_id");
CREATE INDEX "api_requestlog_at_55abbcf4" ON "api_requestlog" ("at");
CREATE INDEX "api_requestlog_status_88a3d798" ON "api_requestlog" ("status");
CREATE UNIQUE INDEX "api_apikey_banks_apikey_id_bank_id_91b10e2d_uniq" ON "api_apikey_banks" ("apikey_id", "bank_id");
CREATE INDEX "api_apikey_banks_apikey_id_e5aac3dd" ON "api_apikey_banks" ("apikey_id");
CREATE INDEX "api_apikey_banks_bank_id_7670d8cf" ON "api_apikey_banks" ("bank_id");
CREATE INDEX "api_apikey_owner_id_f7ac933c" ON "api_apikey" ("owner_id");
CREATE INDEX "job_of_key" ON "api_job" ("key_id", "id" DESC);
CREATE INDEX "job_webhook" ON "api_job" ("webhook_state", "webhook_due");
CREATE UNIQUE INDEX "job_once" ON "api_job" ("key_id", "idempotency_key") WHERE NOT ("idempotency_key" = '');
CREATE INDEX "api_job_key_id_134ffbd2" ON "api_job" ("key_id");
CREATE INDEX "api_job_owner_id_52584b52" ON "api_job" ("owner_id");
CREATE INDEX "api_jobitem_job_id_205bff82" ON "api_jobitem" ("job_id");
CREATE UNIQUE INDEX "job_item_custom_id" ON "api_jobitem" ("job_id", "custom_id") WHERE NOT ("custom_id" = '');
CREATE UNIQUE INDEX "auth_permission_content_type_id_codename_01ab375a_uniq" ON "auth_permission" ("content_type_id", "codename");
CREATE INDEX "auth_permission_content_type_id_2f476e4b" ON "auth_permission" ("content_type_id");
CREATE UNIQUE INDEX "pronunciation_once" ON "banks_pronunciation" ("bank_id", "written", (LOWER("language")));
CREATE UNIQUE INDEX "pronunciation_once_for_all" ON "banks_pronunciation" ("written", (LOWER("language"))) WHERE "bank_id" IS NULL;
CREATE INDEX "banks_pronunciation_bank_id_8ad37d24" ON "banks_pronunciation" ("bank_id");
CREATE INDEX "neiroha_site_failedsignins_last_at_9410819c" ON "neiroha_site_failedsignins" ("last_at");
CREATE INDEX "django_session_expire_date_a5c62663" ON "django_session" ("expire_date");
CREATE INDEX "studio_project_bank_id_93b30466" ON "studio_project" ("bank_id");
CREATE INDEX "studio_project_owner_id_b70bed33" ON "studio_project" ("owner_id");
CREATE INDEX "project_of_owner" ON "studio_project" ("owner_id", "changed_at" DESC);
CREATE INDEX "studio_line_attempt_id_668d77df" ON "studio_line" ("attempt_id");
CREATE INDEX "studio_line_character_id_d274ca96" ON "studio_line" ("character_id");
CREATE INDEX "studio_line_take_id_45f8ea06" ON "studio_line" ("take_id");
CREATE INDEX "studio_line_project_id_a0641ac9" ON "studio_line" ("project_id");
CREATE INDEX "line_order" ON "studio_line" ("project_id", "position", "id");
CREATE INDEX "studio_upload_owner_id_335a289b" ON "studio_upload" ("owner_id");
CREATE INDEX "studio_upload_project_id_92831c29" ON "studio_upload" ("project_id");
CREATE INDEX "studio_readingplace_line_id_f70369da" ON "studio_readingplace" ("line_id");
CREATE INDEX "studio_readingplace_project_id_a05158e3" ON "studio_readingplace" ("project_id");
CREATE INDEX "studio_readingplace_user_id_91610d31" ON "studio_readingplace" ("user_id");
CREATE INDEX "suggestion_run_state" ON "studio_suggestionrun" ("state", "id");
CREATE UNIQUE INDEX "suggestion_run_open_once" ON "studio_suggestionrun" ("project_id") WHERE "state" IN ('queued', 'running');
CREATE INDEX "suggestion_of_speaker" ON "studio_speakersuggestion" ("project_id", "speaker");
CREATE INDEX "studio_suggestionrun_owner_id_0a7580de" ON "studio_suggestionrun" ("owner_id");
CREATE INDEX "studio_suggestionrun_project_id_eaf07753" ON "studio_suggestionrun" ("project_id");
CREATE INDEX "studio_speakersuggestion_project_id_18f8075c" ON "studio_speakersuggestion" ("project_id");
CREATE INDEX "studio_speakersuggestion_run_id_ff608ab9" ON "studio_speakersuggestion" ("run_id");
CREATE INDEX "studio_desktoporigin_source_id_fa85889a" ON "studio_desktoporigin" ("source_id");
CREATE INDEX "desktop_origin_id" ON "studio_desktoporigin" ("original_id");
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('django_migrations',35);
INSERT INTO "sqlite_sequence" VALUES('django_admin_log',21);
INSERT INTO "sqlite_sequence" VALUES('django_content_type',40);
INSERT INTO "sqlite_sequence" VALUES('banks_character',21);
INSERT INTO "sqlite_sequence" VALUES('banks_bank',21);
INSERT INTO "sqlite_sequence" VALUES('banks_membership',21);
INSERT INTO "sqlite_sequence" VALUES('studio_take',21);
INSERT INTO "sqlite_sequence" VALUES('studio_export',21);
INSERT INTO "sqlite_sequence" VALUES('studio_castentry',21);
INSERT INTO "sqlite_sequence" VALUES('api_preferences',21);
INSERT INTO "sqlite_sequence" VALUES('api_jobitem',21);
INSERT INTO "sqlite_sequence" VALUES('auth_permission',160);
INSERT INTO "sqlite_sequence" VALUES('auth_group',2);
INSERT INTO "sqlite_sequence" VALUES('auth_user',21);
INSERT INTO "sqlite_sequence" VALUES('studio_project',21);
INSERT INTO "sqlite_sequence" VALUES('studio_line',21);
INSERT INTO "sqlite_sequence" VALUES('studio_readingplace',21);
INSERT INTO "sqlite_sequence" VALUES('studio_studiosettings',21);
INSERT INTO "sqlite_sequence" VALUES('auth_group_permissions',44);
INSERT INTO "sqlite_sequence" VALUES('api_apikey',21);
INSERT INTO "sqlite_sequence" VALUES('api_apikey_banks',21);
INSERT INTO "sqlite_sequence" VALUES('api_job',21);
INSERT INTO "sqlite_sequence" VALUES('api_requestlog',21);
INSERT INTO "sqlite_sequence" VALUES('api_serversettings',21);
INSERT INTO "sqlite_sequence" VALUES('auth_user_groups',21);
INSERT INTO "sqlite_sequence" VALUES('auth_user_user_permissions',21);
INSERT INTO "sqlite_sequence" VALUES('banks_pronunciation',21);
INSERT INTO "sqlite_sequence" VALUES('banks_referenceaudio',21);
INSERT INTO "sqlite_sequence" VALUES('providers_auditentry',21);
INSERT INTO "sqlite_sequence" VALUES('providers_cataloguemodel',21);
INSERT INTO "sqlite_sequence" VALUES('providers_cataloguevoice',21);
INSERT INTO "sqlite_sequence" VALUES('providers_chatmodel',21);
INSERT INTO "sqlite_sequence" VALUES('providers_configurationversion',21);
INSERT INTO "sqlite_sequence" VALUES('providers_healthreport',21);
INSERT INTO "sqlite_sequence" VALUES('providers_provider',21);
INSERT INTO "sqlite_sequence" VALUES('providers_usageminute',21);
INSERT INTO "sqlite_sequence" VALUES('studio_desktoporigin',21);
INSERT INTO "sqlite_sequence" VALUES('studio_desktopsource',21);
INSERT INTO "sqlite_sequence" VALUES('studio_projectpronunciation',21);
INSERT INTO "sqlite_sequence" VALUES('studio_project_members',21);
INSERT INTO "sqlite_sequence" VALUES('studio_speakersuggestion',21);
INSERT INTO "sqlite_sequence" VALUES('studio_suggestionrun',21);
COMMIT;
